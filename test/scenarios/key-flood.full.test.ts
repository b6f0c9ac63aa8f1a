/**
 * Millions of sessions with one call each, and in them three chains of three steps. Of the tenant that is flooded, the
 * one that had got beyond its first step is found. One that had not is given up like the sessions of the flood, and that
 * is told. The flood of one tenant takes nothing from another.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BUDGET, type FloodResult } from '../support/scenario/flood-child.ts';
import { LOADER } from '../support/sources/words.ts';

const CHILD = fileURLToPath(new URL('../support/scenario/flood-child.ts', import.meta.url));
/** At most 200,000 states, about 2 KB each with the call that they hold; a heap beyond this ends the process. */
const MAX_HEAP_MB = 640;
const MAX_RSS_BYTES = 1024 ** 3;

async function flood(sessions: number, rule: string): Promise<FloodResult> {
  const args = [`--max-old-space-size=${MAX_HEAP_MB}`, ...LOADER, CHILD, String(sessions), rule];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  assert.equal(code, 0, `${rule}: the process ended with ${String(code)}: over its heap?`);
  return JSON.parse(output) as FloodResult;
}

/** Ten millions (FLOOD_SESSIONS=10000000) take minutes longer and say the same. */
const SESSIONS = Number(process.env['FLOOD_SESSIONS'] ?? 600_000);

for (const [sessions, rule] of [
  [SESSIONS, 'f.chain'],
  [600_000, 'f.guarded'],
] as const) {
  test(`${sessions} sessions, ${rule}: the chain is found, what is given up is told, memory stays bounded`, async () => {
    const result = await flood(sessions, rule);
    console.log(
      `${rule}: ${result.events} events, ${Math.round(result.seconds)} s, RSS ${Math.round(result.rssBytes / 1e6)} MB, ` +
        `${result.states} states, ${result.givenUp} given up`,
    );
    assert.ok(result.events >= sessions);
    assert.deepEqual(result.matches.toSorted(), ['flooded ["advanced"]', 'quiet ["calm"]']);
    // Told once an hour; the flood lasts less.
    assert.deepEqual(result.reports, [`${rule} flooded states_evicted`]);
    assert.ok(result.givenUp > sessions - 2 * BUDGET.maxStates, `only ${result.givenUp} given up`);
    // All that the flooded tenant may hold, and the one of the other.
    assert.equal(result.states, BUDGET.maxStatesPerTenant + 1);
    assert.ok(result.rssBytes < MAX_RSS_BYTES, `RSS ${result.rssBytes}`);
  });
}
