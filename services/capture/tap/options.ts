/** The tap's own command line. Its options come first; what follows `--` is the server's command and never read as ours. */
import path from 'node:path';

export interface TapArguments {
  readonly kind: 'run';
  readonly server: string;
  readonly agent: string | undefined;
  readonly injectTrace: boolean;
  readonly command: string;
  readonly args: readonly string[];
}
export type ParsedTap =
  TapArguments | { readonly kind: 'help' } | { readonly kind: 'usage'; readonly message: string };

export const TAP_USAGE = `Usage: tripline tap [--server NAME] [--agent NAME] [--inject-trace] -- COMMAND ARGS…

Runs COMMAND, an MCP server on stdio, and records every tool call between it and this process's host.

  --server NAME    name of the server in events, rules and controls (default: the command's name)
  --agent NAME     name of the agent (default: TRIPLINE_AGENT, else "unknown")
  --inject-trace   write traceparent into params._meta of calls; without it not a byte is changed
  --help           this text
`;

const NAME = /^\P{Cc}{1,256}$/u;

interface Flags {
  server?: string;
  agent?: string;
  injectTrace: boolean;
}

type FlagsOutcome =
  | { readonly kind: 'flags'; readonly flags: Flags; readonly rest: readonly string[] }
  | Exclude<ParsedTap, TapArguments>;

function readFlags(argv: readonly string[]): FlagsOutcome {
  const flags: Flags = { injectTrace: false };
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? '';
    if (argument === '--') return { kind: 'flags', flags, rest: argv.slice(at + 1) };
    if (argument === '--help' || argument === '-h') return { kind: 'help' };
    // A host may swallow `--`: the first word that is no option is the command.
    if (!argument.startsWith('-')) return { kind: 'flags', flags, rest: argv.slice(at) };
    const read = readFlag(flags, argument, argv[at + 1]);
    if (typeof read === 'string') return { kind: 'usage', message: read };
    at += read;
  }
  return { kind: 'flags', flags, rest: [] };
}

/** Sets one flag; answers how many further words it took, or what is wrong. */
function readFlag(flags: Flags, argument: string, next: string | undefined): number | string {
  if (argument === '--inject-trace') {
    flags.injectTrace = true;
    return 0;
  }
  const match = /^--(server|agent)(?:=(.*))?$/su.exec(argument);
  if (match === null) return `unknown option ${argument}`;
  const name = match[1] === 'server' ? 'server' : 'agent';
  const text = match[2] ?? (next === '--' ? undefined : next);
  if (text === undefined || !NAME.test(text)) return `--${name} takes a name of 1 to 256 characters`;
  flags[name] = text;
  return match[2] === undefined ? 1 : 0;
}

/** Name of a server whose operator gave none: the command's, or the script or package that a launcher runs. */
export function defaultServerName(command: string, args: readonly string[]): string {
  const base = path.basename(command).replace(/\.(?:exe|cmd)$/u, '');
  const runs = ['node', 'npx', 'python', 'python3', 'uvx', 'bunx', 'deno', 'tsx'];
  const script = runs.includes(base) ? args.find((argument) => !argument.startsWith('-')) : undefined;
  const name = script === undefined ? base : path.basename(script).replace(/\.[cm]?[jt]s$|\.py$/u, '');
  return name.replaceAll(/\p{Cc}/gu, '').slice(0, 256) || 'server';
}

/** Reads the arguments after `tap`. An empty command is a usage fault: a tap without a server would tap itself. */
export function parseTapArguments(argv: readonly string[]): ParsedTap {
  const read = readFlags(argv);
  if (read.kind !== 'flags') return read;
  const [command, ...args] = read.rest;
  if (command === undefined || command === '') {
    return { kind: 'usage', message: 'the command of the MCP server is missing' };
  }
  const { server, agent, injectTrace } = read.flags;
  return {
    kind: 'run',
    server: server ?? defaultServerName(command, args),
    agent,
    injectTrace,
    command,
    args,
  };
}
