import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Fact, Watermark } from '../../../services/detect/facts.ts';
import { StageTwo, type StageTwoSnapshot } from '../../../services/detect/merge.ts';
import { settingsOfOneRule } from '../../support/detect/one-rule.ts';

const START_MS = 1_750_000_000_000;
const SETTINGS = settingsOfOneRule();
const SOURCES = 3;

type Item = { readonly fact: Fact } | { readonly mark: Watermark };
interface Drawn {
  readonly y: boolean;
  readonly agent: number;
  readonly stepMs: number;
}

/** What a source sends: its facts in order of append, the watermark after each, a last one that passes everything. */
function sourceItems(source: number, drawn: readonly Drawn[]): Item[] {
  let appendMs = START_MS;
  const items = drawn.flatMap(({ y, agent, stepMs }, offset): Item[] => {
    appendMs += stepMs;
    const selection = SETTINGS.rules[0]?.selections.get(y ? 'b' : 'a');
    const place = { topic: 'toolcalls', partition: source, offset, line: 0 };
    const who = { session: `s${source}`, agent: `g${agent}` };
    const fact: Fact = {
      kind: 'call.intent',
      toolClass: 'other',
      timeMs: appendMs,
      appendMs,
      callKey: `${source}-${offset}`,
      matches: [selection?.hash ?? ''],
      values: { agent: who.agent },
      reference: {
        eventId: `e${source}-${offset}`,
        time: new Date(appendMs).toISOString(),
        ...place,
        ...who,
      },
    };
    return [{ fact }, { mark: { source, watermarkMs: appendMs } }];
  });
  return [...items, { mark: { source, watermarkMs: START_MS + 1e9 } }];
}

/** Runs the items of all sources, taken in the order of `turns`; every tenth time through a snapshot as JSON. */
function run(sources: readonly (readonly Item[])[], turns: readonly number[]): string[] {
  let stage = new StageTwo(SETTINGS, { sourceCount: SOURCES });
  const next = sources.map(() => 0);
  const found: string[] = [];
  const take = (source: number): void => {
    const item = sources[source]?.[next[source] ?? 0];
    if (item === undefined) return;
    next[source] = (next[source] ?? 0) + 1;
    if ('fact' in item) {
      stage.fact('t', item.fact);
      stage.fact('t', item.fact);
    } else stage.watermark(item.mark);
    for (const finding of stage.take()) {
      if (finding.kind === 'match') found.push(finding.completed.last.entry.reference.eventId);
    }
  };
  turns.forEach((turn, index) => {
    take(turn);
    if (index % 10 !== 9) return;
    const snapshot = JSON.parse(JSON.stringify(stage.snapshot())) as StageTwoSnapshot;
    stage = new StageTwo(SETTINGS, { sourceCount: SOURCES, snapshot });
  });
  for (let source = 0; source < SOURCES; source++) {
    while ((next[source] ?? 0) < (sources[source]?.length ?? 0)) take(source);
  }
  return found;
}

test('stage two tells the same in the same order, whichever source is read first', () => {
  let alerts = 0;
  const fact = fc.record({ y: fc.boolean(), agent: fc.nat(1), stepMs: fc.constantFrom(0, 1, 20_000) });
  const lists = fc.tuple(...Array.from({ length: SOURCES }, () => fc.array(fact, { maxLength: 8 })));
  const turns = fc.array(fc.nat(SOURCES - 1), { maxLength: 60 });
  fc.assert(
    fc.property(lists, turns, turns, (drawn, first, second) => {
      const sources = drawn.map((list, source) => sourceItems(source, list));
      const expected = run(sources, first);
      assert.deepEqual(run(sources, second), expected);
      alerts += expected.length;
    }),
    { numRuns: 1_000 },
  );
  assert.ok(alerts > 500, `only ${alerts} alerts`);
});
