/** Which servers of a host's own file (mcp.json and its like) go through a tap or a gate. The file is the operator's word. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import { parseTapArguments } from '../tap/options.ts';
import type { Finding } from './finding.ts';

/** The forms of the hosts that have samples. */
const ROOTS = ['mcpServers', 'servers', 'context_servers'] as const;
const URLS = ['url', 'serverUrl', 'httpUrl'] as const;
const TAP_FILES: ReadonlySet<string> = new Set([
  'tripline-tap',
  'tripline-tap.js',
  'tripline-tap.mjs',
  'tripline-tap.cmd',
]);
const TRIPLINE: ReadonlySet<string> = new Set(['tripline', 'tripline.js', 'tripline.cmd']);
/** A name that nobody has (RFC 6761): a gate refuses its pages, and says so with a code of ours. */
const STRANGER = 'https://tripline.invalid';

const zServer = z.looseObject({
  command: z.string().optional(),
  args: z.array(z.string()).default([]),
  url: z.string().optional(),
  serverUrl: z.string().optional(),
  httpUrl: z.string().optional(),
});
type Server = z.infer<typeof zServer>;
const zServers = z.record(z.string(), zServer);

/** Throws usage for a file that has no servers in a form that is known. */
export function readServers(file: string): Readonly<Record<string, Server>> {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new TriplineError('usage', `${file} cannot be read as JSON (without comments)`, {
      path: '--mcp',
      cause,
    });
  }
  const all = z.record(z.string(), z.unknown()).safeParse(content).data ?? {};
  const root = ROOTS.find((name) => name in all);
  const servers = root === undefined ? undefined : zServers.safeParse(all[root]).data;
  if (servers !== undefined) return servers;
  throw new TriplineError('usage', `${file} has no servers below ${ROOTS.join(', ')}`, { path: '--mcp' });
}

/** One finding for the file. Gates are asked, at most `withinMs` each, with a request that no server acts on. */
export async function serversFinding(file: string, withinMs: number): Promise<Finding> {
  const servers = Object.entries(readServers(file));
  const looked = await Promise.all(
    servers.map(async ([name, server]) => ({ name, why: await whyUnrecorded(server, withinMs) })),
  );
  const left = looked.flatMap(({ name, why }) => (why === undefined ? [] : [`${name} (${why})`]));
  if (left.length === 0)
    return {
      check: 'servers',
      status: 'ok',
      detail: `${servers.length} in ${file}, all through a tap or a gate`,
    };
  return {
    check: 'servers',
    status: 'fail',
    detail: `not recorded, of ${servers.length} in ${file}: ${left.join(', ')}`,
    do: "put `tripline tap --server NAME --` before the command, or the URL of a running gate in the place of the server's",
  };
}

async function whyUnrecorded(server: Server, withinMs: number): Promise<string | undefined> {
  if (server.command !== undefined) return tapFault([server.command, ...server.args]);
  const url = URLS.map((key) => server[key]).find((one) => one !== undefined);
  if (url === undefined) return 'neither a command nor a URL';
  return (await isGate(url, withinMs)) ? undefined : 'no gate answers at its URL';
}

function tapFault(words: readonly string[]): string | undefined {
  const own = ownWords(words);
  if (own === undefined) return 'its command is not behind a tap';
  const parsed = parseTapArguments(own);
  return parsed.kind === 'run' ? undefined : 'its tap would not start';
}

/** What the tap is given; what stands behind a `--` is the server's. */
function ownWords(words: readonly string[]): readonly string[] | undefined {
  const end = words.indexOf('--');
  const names = words.slice(0, end < 0 ? undefined : end).map((word) => path.basename(word));
  const file = names.findIndex((name) => TAP_FILES.has(name));
  if (file >= 0) return words.slice(file + 1);
  const command = names.findIndex((name, at) => TRIPLINE.has(name) && names[at + 1] === 'tap');
  return command < 0 ? undefined : words.slice(command + 2);
}

const zRefusal = z.object({
  error: z.object({ data: z.object({ code: z.literal('gate_origin_refused') }) }),
});

async function isGate(url: string, withinMs: number): Promise<boolean> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { origin: STRANGER, 'content-type': 'application/json' },
      body: '{}',
      redirect: 'manual',
      signal: AbortSignal.timeout(withinMs),
    });
    return zRefusal.safeParse(await response.json()).success;
  } catch {
    return false; // Nobody is there, or it is no JSON.
  }
}
