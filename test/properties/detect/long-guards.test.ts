/**
 * Guards over hours of events: what a guard forbade stays forbidden when its own event, which is older than the step,
 * has been let go. Expected values by a look at every pair of events.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { StageOne, type StageOneSnapshot } from '../../../services/detect/step.ts';
import { recordFrom, tickAt } from './records.ts';
import { BASE_MS, seeded, settingsFor, sha256Hex, type Random } from './streams.ts';

const RULE = `id: g.absence
title: T
level: low
key: session
events: { s: { tool.name: search }, d: { tool.name: delete }, r: { tool.name: read } }
sequence: [d]
without: [{ event: s, before: d, for: 20s }, { event: r, after: d, for: 2s }]
after_match: every
`;
const TOOLS = ['search', 'delete', 'read'] as const;
type Tool = (typeof TOOLS)[number];

interface Call {
  readonly session: string;
  readonly tool: Tool;
  readonly timeMs: number;
  readonly appendMs: number;
}

/** Some calls of a session every few seconds, with pauses; some come a little late. */
function callsOf(random: Random, count: number): Call[] {
  let appendMs = BASE_MS;
  return Array.from({ length: count }, () => {
    appendMs += random(20) === 0 ? random(200_000) : random(6_000);
    const session = `s${random(2)}`;
    return {
      session,
      tool: TOOLS[random(3)] as Tool,
      timeMs: appendMs - random(4) * random(1_000),
      appendMs,
    };
  });
}

const isForbidden = (call: Call, others: readonly Call[]): boolean =>
  others.some(
    ({ session, tool, timeMs }) =>
      session === call.session &&
      ((tool === 'search' && timeMs < call.timeMs && call.timeMs - timeMs <= 20_000) ||
        (tool === 'read' && timeMs > call.timeMs && timeMs - call.timeMs <= 2_000)),
  );

function settings(): ReturnType<typeof settingsFor> {
  const { rules, faults } = loadRules([{ path: 'r', text: RULE }], { sha256Hex });
  assert.deepEqual(faults, []);
  const made = settingsFor(rules);
  // Longer than any of the calls is late.
  return { ...made, engine: { ...made.engine, lateWaitMs: 5_000 } };
}

/** Offsets of the calls that were told. With `restarts` it goes through a snapshot before each such record. */
function told(calls: readonly Call[], restarts: (offset: number) => boolean): number[] {
  let stage = new StageOne(settings());
  const found: Finding[] = [];
  calls.forEach((call, offset) => {
    if (restarts(offset)) {
      found.push(...stage.takeFindings());
      stage = new StageOne(settings(), JSON.parse(JSON.stringify(stage.snapshot())) as StageOneSnapshot);
    }
    stage.process(recordFrom({ ...call, writer: `w${offset}` }, { offset }));
  });
  stage.process(tickAt(BASE_MS + 10_000_000_000, { offset: calls.length }));
  found.push(...stage.takeFindings());
  return found
    .flatMap((finding) => (finding.kind === 'match' ? [finding.completed.last.entry.offset] : []))
    .toSorted((a, b) => a - b);
}

test('no step that a guard before or after forbids is told later, with restarts and without', () => {
  let forbidden = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed);
    const calls = callsOf(random, 300);
    const deletes = calls.flatMap((call, offset) => (call.tool === 'delete' ? [offset] : []));
    const expected = deletes.filter((offset) => !isForbidden(calls[offset] as Call, calls));
    forbidden += deletes.length - expected.length;
    assert.deepEqual(
      told(calls, () => false),
      expected,
      `seed ${seed}`,
    );
    assert.deepEqual(
      told(calls, () => random(40) === 0),
      expected,
      `seed ${seed} with restarts`,
    );
  }
  assert.ok(forbidden > 200, `only ${forbidden} were forbidden`);
});

test('one key that calls very often: what was forbidden is not told when the list of its events is full', () => {
  const at = (tool: Tool, second: number): Call => {
    const appendMs = BASE_MS + second * 10;
    return { session: 's', tool, timeMs: appendMs, appendMs };
  };
  // The list holds 1,024 events. The 1,024th delete pushes the search out, which forbids all of them; that is told as lost coverage.
  const calls = [at('search', 0), ...Array.from({ length: 1_500 }, (_, index) => at('delete', index + 1))];
  const offsets = told(calls, () => false);
  assert.equal(offsets[0], 1_025);
});
