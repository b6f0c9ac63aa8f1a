import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SourceRecord } from '../../../services/detect/step.ts';
import { randomRule, randomStream, runStageOne, seeded, settingsFor } from './streams.ts';

/** The same records with others put in between; offsets are dense again, append times stay in order. */
function interleave(
  base: readonly SourceRecord[],
  decoys: readonly SourceRecord[],
  every: number,
): SourceRecord[] {
  const all: SourceRecord[] = [];
  base.forEach((record, index) => {
    const decoy = index % every === 0 ? decoys[index] : undefined;
    if (decoy !== undefined) all.push({ ...decoy, appendMs: record.appendMs });
    all.push(record);
  });
  return all.map((record, offset) => ({ ...record, offset }));
}

/** Events of writers of their own: no stream of the base is touched. */
function asDecoys(records: readonly SourceRecord[]): SourceRecord[] {
  return records
    .filter((record) => record.headers['format'] !== 'tick')
    .map((record) => {
      const base = record.headers['stream'] ?? '';
      const stream = base.slice(16) + base.slice(0, 16); // The halves swapped: never a stream of the base.
      const text = new TextDecoder().decode(record.value ?? new Uint8Array(0));
      const event = { ...(JSON.parse(text) as Record<string, unknown>), stream };
      return {
        ...record,
        headers: { ...record.headers, stream },
        value: new TextEncoder().encode(JSON.stringify(event)),
      };
    });
}

test('decoys never take an alert away from a rule without guards', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0 }), fc.integer({ min: 1, max: 4 }), (seed, every) => {
      const random = seeded(seed);
      const { oracle, compiled } = randomRule(random, 'random');
      fc.pre(oracle.guards.length === 0);
      const { records } = randomStream(random);
      const settings = settingsFor([compiled]);
      const plain = runStageOne(settings, records).get('random') ?? new Set();
      const mixed = interleave(records, asDecoys(randomStream(random).records), every);
      const withDecoys = runStageOne(settings, mixed).get('random') ?? new Set();
      assert.deepEqual(
        [...plain].filter((id) => !withDecoys.has(id)),
        [],
      );
    }),
    { numRuns: 1_000 },
  );
});
