/**
 * From the POST of an event to the moment at which a root checkpoint that covers it, with the cosignatures of two
 * witnesses, is on the disk: the real service and two witnesses on loopback. Baseline: the answer to the POST, after
 * which the event is durable. Most of it is waiting for the next round, so the interval is named with the result.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOPICS } from '../../schemas/topics.ts';
import { decodeRootLeaf } from '../../services/evidence/root-leaf.ts';
import { parseCheckpoint, parseCheckpointText } from '../../services/evidence/tlog/checkpoint.ts';
import { decodeBundle, TILE_WIDTH, tileAt, tilePath } from '../../services/evidence/tlog/tiles.ts';
import { ROOT_LOG_DIR } from '../../services/sign/root/run.ts';
import { openWitness, rootVkey, writePolicy } from '../support/tlog/witnesses.ts';
import { quantile, result, type Bench, type BenchResult } from './bench.ts';
import { eventLine } from './events.ts';
import { startService, type BenchService } from './service.ts';

/** The interval that is the default, and the shortest that may be set. */
const INTERVALS_MS = [10_000, 1000];
const ROUNDS = { 10_000: 6, 1000: 20 } as Readonly<Record<number, number>>;
const EVERY_MS = 40;
const POLL_MS = 5;
const LAST_WITHIN_MS = 60_000;
const NDJSON = 'application/x-ndjson';

/** Entries of the log of tool calls that a root log of `size` leaves names, below the directory of the root log. */
function covered(dir: string, size: number): number {
  let most = 0;
  for (let bundle = 0; bundle * TILE_WIDTH < size; bundle += 1) {
    const tile = tileAt('entries', bundle, size);
    const leaves = tile === undefined ? undefined : decodeBundle(readFileSync(join(dir, tilePath(tile))));
    for (const bytes of leaves ?? []) {
      const leaf = decodeRootLeaf(bytes);
      const head = leaf?.type === 'head' ? parseCheckpointText(leaf.checkpoint) : undefined;
      if (head?.origin.includes(`/${TOPICS.toolcalls.name}/`) === true) most = Math.max(most, head.size);
    }
  }
  return most;
}

/** Tells of each new cosigned checkpoint until it is stopped. */
function watch(service: BenchService, onCovered: (entries: number, atMs: number) => void) {
  const dir = join(service.dataDir, ROOT_LOG_DIR);
  const file = join(dir, 'cosigned');
  const stop = new AbortController();
  const work = (async () => {
    let seen = 0;
    while (!stop.signal.aborted) {
      const { ino, mtimeMs } = existsSync(file) ? statSync(file) : { ino: 0, mtimeMs: 0 };
      if (ino + mtimeMs !== seen) {
        seen = ino + mtimeMs;
        const atMs = performance.now();
        const size = parseCheckpoint(readFileSync(file, 'utf8'))?.size ?? 0;
        onCovered(covered(dir, size), atMs);
      }
      await sleep(POLL_MS);
    }
  })();
  return async (): Promise<void> => {
    stop.abort();
    await work;
  };
}

/** One session, so one log, in which an event's index is its number. */
async function measure(service: BenchService, cosignEveryMs: number): Promise<readonly BenchResult[]> {
  const postedMs: number[] = [];
  const answers: number[] = [];
  const cosigned: number[] = [];
  const stop = watch(service, (entries, atMs) => {
    for (let at = cosigned.length; at < entries; at += 1) cosigned.push(atMs - (postedMs[at] as number));
  });
  const untilMs = performance.now() + cosignEveryMs * (ROUNDS[cosignEveryMs] as number);
  while (performance.now() < untilMs) {
    const line = eventLine({ tenant: 'default', run: 1 }, 0, postedMs.length);
    postedMs.push(performance.now());
    const { status, text } = await service.post('/v1/events', line, NDJSON);
    if (status !== 200 && status !== 202) throw new Error(`POST answered ${status}: ${text}`);
    answers.push(performance.now() - (postedMs.at(-1) as number));
    await sleep(EVERY_MS);
  }
  const lastMs = performance.now() + LAST_WITHIN_MS;
  while (cosigned.length < postedMs.length && performance.now() < lastMs) await sleep(POLL_MS);
  await stop();
  if (cosigned.length !== postedMs.length) throw new Error('not all events were cosigned in time');
  const note = `rootLog.cosignEveryMs ${cosignEveryMs}, two witnesses, ${cosigned.length} events; baseline: the answer to the POST`;
  return [0.5, 0.99].map((q) => {
    const measured = { value: quantile(cosigned, q), baseline: quantile(answers, q), unit: 'ms' };
    return result(`event_to_cosigned_${cosignEveryMs}_p${q * 100}`, measured, note);
  });
}

async function withWitnesses(cosignEveryMs: number): Promise<readonly BenchResult[]> {
  const witnesses: Awaited<ReturnType<typeof openWitness>>[] = [];
  try {
    const service = await startService({
      rules: { builtin: false },
      rootLog: async (dir, dataDir) => {
        const vkey = await rootVkey(dataDir);
        for (const name of ['w1.example', 'w2.example'])
          witnesses.push(await openWitness(name, join(dir, name), [vkey]));
        const policyFile = join(dir, 'policy');
        writePolicy(policyFile, vkey, witnesses, 2);
        return { policyFile, cosignEveryMs };
      },
    });
    try {
      return await measure(service, cosignEveryMs);
    } finally {
      await service.stop();
    }
  } finally {
    for (const witness of witnesses) await witness.stop();
  }
}

async function run(): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const interval of INTERVALS_MS) results.push(...(await withWitnesses(interval)));
  return results;
}

export const eventToCosigned: Bench = {
  name: 'event_to_cosigned',
  about: 'POST of an event to a cosigned checkpoint that covers it, at 10 s and 1 s a round',
  run,
};
