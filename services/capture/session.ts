/**
 * The session id of a host: from TRIPLINE_SESSION_ID, else derived from machine, boot, and the nearest ancestor process
 * that is no launcher. A host that runs three taps is one session; two runs of the same host are two.
 */
export interface ProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  /** Start time in the unit of the system (Linux: clock ticks since boot); with pid and boot it names a process. */
  readonly start: string;
  readonly argv: readonly string[];
}

/** Looks a process up; undefined where it cannot be seen. */
export type ReadProcess = (pid: number) => ProcessInfo | undefined;

/** Programs that only start another one. `node` is one when its script is a launcher. */
const LAUNCHERS: ReadonlySet<string> = new Set(
  'sh bash dash ash zsh fish ksh cmd cmd.exe powershell pwsh env npm npx pnpm pnpx yarn bunx uvx corepack tsx timeout nohup setsid nice sudo dumb-init tini tripline'.split(
    ' ',
  ),
);
const INTERPRETERS: ReadonlySet<string> = new Set(['node', 'node.exe', 'nodejs', 'bun', 'deno']);
const LAUNCHER_SCRIPT =
  /(?:^|[/\\])(?:npm-cli|npx-cli|npm|npx|pnpm|pnpx|yarn|corepack|tsx|tripline)(?:\.[cm]?js)?$|[/\\]tsx[/\\]dist[/\\]cli\.[cm]?js$/u;
/** Options of Node whose value is a word of its own. */
const VALUED_OPTIONS: ReadonlySet<string> = new Set(
  '--import --require -r --loader --experimental-loader --conditions -C --input-type --title'.split(' '),
);
const MAX_ANCESTORS = 32;

function baseName(program: string): string {
  // npm writes its title over its arguments ("npm exec tool"): the first word is the program.
  const first = program.split(' ', 1)[0] ?? '';
  return (first.split(/[/\\]/u).at(-1) ?? '').replace(/^-/u, '').toLowerCase();
}

/** True when the process only starts another one (a shell, npx, env, node running npx, a tap). */
export function isLauncher(argv: readonly string[]): boolean {
  const program = baseName(argv[0] ?? '');
  if (LAUNCHERS.has(program)) return true;
  if (!INTERPRETERS.has(program)) return false;
  const script = scriptOf(argv.slice(1));
  return script !== undefined && LAUNCHER_SCRIPT.test(script);
}

/** The first word that is neither an option nor an option's value: in `node --import tsx agent.ts` it is the agent. */
function scriptOf(words: readonly string[]): string | undefined {
  return words.find((word, at) => !word.startsWith('-') && !VALUED_OPTIONS.has(words[at - 1] ?? ''));
}

/** The nearest ancestor at or above `pid` that is no launcher; the topmost that can be seen when all are. */
export function hostProcess(pid: number, readProcess: ReadProcess): ProcessInfo | undefined {
  let topmost: ProcessInfo | undefined;
  let at = pid;
  for (let hops = 0; hops < MAX_ANCESTORS && at > 0; hops++) {
    const info = readProcess(at);
    if (info === undefined) break;
    topmost = info;
    if (!isLauncher(info.argv)) return info;
    at = info.parentPid;
  }
  return topmost;
}

export interface SessionOrigin {
  readonly hostName: string;
  readonly bootId: string;
  readonly process: ProcessInfo | undefined;
  /** Used when no ancestor can be seen. */
  readonly parentPid: number;
}

/** 32 lower-case hex digits: the first half of a SHA-256 over what names the host process. */
export function deriveSessionId(origin: SessionOrigin, sha256Hex: (bytes: Uint8Array) => string): string {
  const { process: host } = origin;
  const parts = [
    'tripline/session/v1',
    origin.hostName,
    origin.bootId,
    String(host?.pid ?? origin.parentPid),
    host?.start ?? '',
  ];
  return sha256Hex(new TextEncoder().encode(parts.join('\0'))).slice(0, 32);
}
