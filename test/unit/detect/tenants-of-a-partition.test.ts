import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { zFact, type Fact } from '../../../services/detect/facts.ts';
import { StageTwo } from '../../../services/detect/merge.ts';
import { runsByPartition } from '../../../services/detect/publish.ts';
import { settingsOfOneRule } from '../../support/detect/one-rule.ts';

const START_MS = 1_750_000_000_000;
const SETTINGS = settingsOfOneRule('after_match: every\n');
const [RULE] = SETTINGS.rules;

function factAt(offset: number, step: 'a' | 'b', tenant: string): Fact {
  const appendMs = START_MS + offset;
  return {
    kind: 'call.intent',
    toolClass: 'other',
    timeMs: appendMs,
    appendMs,
    callKey: `${tenant}-${offset}`,
    matches: [RULE?.selections.get(step)?.hash ?? ''],
    values: { agent: 'g' },
    reference: {
      eventId: `${tenant}-${offset}`,
      time: new Date(appendMs).toISOString(),
      topic: 'toolcalls',
      partition: 0,
      offset,
      line: 0,
      session: 's',
      agent: 'g',
    },
  };
}

test('tenants that share a facts partition lose no fact to each other, however their events are mixed and batched', () => {
  const mixed = fc.array(
    fc.record({
      tenant: fc.constantFrom('acme', 'globex', 'initech'),
      step: fc.constantFrom('a' as const, 'b' as const),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(mixed, fc.integer({ min: 1, max: 12 }), (calls, batch) => {
      const stage = new StageTwo(SETTINGS, { sourceCount: 1 });
      const facts = calls.map(({ tenant, step }, offset) => ({ tenant, fact: factAt(offset, step, tenant) }));
      for (let from = 0; from < facts.length; from += batch)
        for (const { tenant, lines } of runsByPartition(facts.slice(from, from + batch), 1).get(0) ?? [])
          for (const line of lines) stage.fact(tenant, zFact.parse(JSON.parse(line)));
      stage.watermark({ source: 0, watermarkMs: START_MS + 1e9 });
      // By hand: each b completes the chain of its tenant when an a of that tenant came before it.
      const expected = calls.flatMap(({ tenant, step }, at) =>
        step === 'b' && calls.slice(0, at).some((call) => call.tenant === tenant && call.step === 'a')
          ? [`${tenant}-${at}`]
          : [],
      );
      const told = stage
        .take()
        .flatMap((finding) =>
          finding.kind === 'match' ? [finding.completed.last.entry.reference.eventId] : [],
        );
      assert.deepEqual(new Set(told), new Set(expected));
      assert.equal(stage.counts.duplicates, 0);
    }),
    { numRuns: 500 },
  );
});
