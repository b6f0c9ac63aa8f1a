/** A tap or a gate between two copies of the wire, and what has to be the same on both sides of it. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { RunningGate } from '../../../services/capture/gate/gate.ts';
import { gateBefore } from './gate.ts';
import { nodeArguments, ROOT, tapCommand } from './host.ts';
import type { Place } from './place.ts';
import { copyOfHttp, type HttpCopy } from './wire-copy.ts';

const COPY = [process.execPath, ...nodeArguments(path.join(ROOT, 'test/support/mcp/stdio-copy.ts'))];

type WireFile = 'host.in' | 'host.out' | 'server.in' | 'server.out';

export interface TapBetween {
  readonly command: readonly string[];
  readonly wire: (file: WireFile) => Buffer;
  /** Fails where a byte differs between the two sides. */
  readonly checkSame: () => void;
}

/** What passes before the tap and behind it is kept in `dir`. */
export function tapBetween(
  dir: string,
  server: readonly string[],
  tapArguments: readonly string[],
): TapBetween {
  mkdirSync(dir, { recursive: true });
  const { command, args } = tapCommand({
    tapArguments,
    server: [...COPY, path.join(dir, 'server'), ...server],
  });
  const wire = (file: WireFile): Buffer => readFileSync(path.join(dir, file));
  return {
    command: [...COPY, path.join(dir, 'host'), command, ...args],
    wire,
    checkSame: () => {
      for (const way of ['in', 'out'] as const)
        assert.ok(wire(`host.${way}`).equals(wire(`server.${way}`)), way);
    },
  };
}

export interface GateBetween {
  readonly ahead: HttpCopy;
  readonly behind: HttpCopy;
  readonly gate: RunningGate;
  /** Requests are the same bytes, and so are all answers that came to their end on both sides. */
  checkSame(atLeast: number): void;
}

/** A gate before `upstream`; `config` is that of the gate without its upstreams. */
export async function gateBetween(
  context: TestContext,
  place: Place,
  upstream: string,
  {
    env = {},
    config = {},
  }: { readonly env?: Readonly<Record<string, string>>; readonly config?: object } = {},
): Promise<GateBetween> {
  const behind = await copyOfHttp(context, () => upstream);
  const upstreams = [{ name: 'peer', url: behind.url, agent: 'tester' }];
  const gate = await gateBefore(context, place, { config: { ...config, upstreams }, env });
  const ahead = await copyOfHttp(context, () => `${gate.url}/peer`);
  return { ahead, behind, gate, checkSame: (atLeast) => checkSameHttp(ahead, behind, atLeast) };
}

function checkSameHttp(ahead: HttpCopy, behind: HttpCopy, atLeast: number): void {
  const requests = (of: HttpCopy) => of.exchanges.map(({ request }) => request).toSorted();
  assert.deepEqual(requests(behind), requests(ahead));
  const answers = (of: HttpCopy) =>
    of.exchanges.flatMap(({ request, response }) =>
      response === undefined ? [] : [`${request} ${response}`],
    );
  const arrived = answers(ahead);
  assert.ok(arrived.length >= atLeast, `${arrived.length} answers`);
  const sent = new Set(answers(behind));
  assert.deepEqual(
    arrived.filter((answer) => !sent.has(answer)),
    [],
  );
}
