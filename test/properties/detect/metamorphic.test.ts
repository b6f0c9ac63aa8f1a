import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SourceRecord } from '../../../services/detect/step.ts';
import type { OracleRule } from './oracle.ts';
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

const BODIES = {
  sequence: (rule: OracleRule) => rule.body === 'sequence',
  set: (rule: OracleRule) => rule.body === 'all_of',
  optional: (rule: OracleRule) => rule.steps.some((step) => step.optional),
  repeated: (rule: OracleRule) => rule.steps.some((step) => step.max > 1),
  gap: (rule: OracleRule) => rule.steps.some((step) => step.gapMs !== undefined),
  join: (rule: OracleRule) => rule.joins.length > 0,
};

test('decoys never take an alert away from a rule without guards', () => {
  const alerts: Record<string, number> = {};
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
      for (const [name, uses] of Object.entries(BODIES))
        if (uses(oracle)) alerts[name] = (alerts[name] ?? 0) + plain.size;
    }),
    { numRuns: 3_000 },
  );
  for (const name of Object.keys(BODIES)) {
    assert.ok((alerts[name] ?? 0) > 15, `only ${alerts[name] ?? 0} alerts of rules with ${name}`);
  }
});
