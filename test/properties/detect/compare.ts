import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { expectedAlerts, type OracleRule } from './oracle.ts';
import { randomRule, randomStream, runStageOne, seeded, settingsFor, type RandomStream } from './streams.ts';

export interface Comparison {
  readonly streams: number;
  readonly alerts: number;
  /** Alerts of rules that use a part of the language, and on streams that hold late or repeated records: what never fires is not compared. */
  readonly byPart: Readonly<Record<Part, number>>;
}

const PARTS = {
  set: (rule) => rule.body === 'all_of',
  optional: (rule) => rule.steps.some((step) => step.optional),
  repeated: (rule) => rule.steps.some((step) => step.max > 1),
  gap: (rule) => rule.steps.some((step) => step.gapMs !== undefined),
  equality: (rule) => rule.joins.some(({ operator }) => operator === '=='),
  inequality: (rule) => rule.joins.some(({ operator }) => operator === '!='),
  order: (rule) => rule.joins.some(({ operator }) => operator.startsWith('<') || operator.startsWith('>')),
  result: (rule) => rule.steps.some((step) => step.result),
  between: (rule) => rule.guards.some(({ kind }) => kind === 'between'),
  before: (rule) => rule.guards.some(({ kind }) => kind === 'before'),
  after: (rule) => rule.guards.some(({ kind }) => kind === 'after'),
  until: (rule) => rule.guards.some(({ kind }) => kind === 'until'),
} satisfies Readonly<Record<string, (rule: OracleRule) => boolean>>;
/** What a stream may hold, whatever the rule. */
const STREAM_PARTS = {
  late: ({ events }) =>
    events.some((event, at) => event.id !== '' && events.slice(0, at).some((e) => e.timeMs > event.timeMs)),
  duplicated: ({ records }) => {
    const places = records.map(({ headers }) => `${headers['stream'] ?? ''} ${headers['first-seq'] ?? ''}`);
    return new Set(places.filter((place) => place !== ' ')).size < places.filter((p) => p !== ' ').length;
  },
} satisfies Readonly<Record<string, (stream: RandomStream) => boolean>>;
type RulePart = keyof typeof PARTS;
type StreamPart = keyof typeof STREAM_PARTS;
type Part = RulePart | StreamPart;
const PART_NAMES = [...Object.keys(PARTS), ...Object.keys(STREAM_PARTS)] as Part[];

function partsOf(rule: OracleRule, stream: RandomStream): Part[] {
  return PART_NAMES.filter((name) =>
    name === 'late' || name === 'duplicated' ? STREAM_PARTS[name](stream) : PARTS[name](rule),
  );
}

/** Compares matcher and oracle; throws with seed, rule and stream at the first difference. */
export function compareWithOracle(size: {
  readonly seed: number;
  readonly rules: number;
  readonly streamsPerRule: number;
}): Comparison {
  let alerts = 0;
  const byPart = Object.fromEntries(PART_NAMES.map((name) => [name, 0])) as Record<Part, number>;
  for (let index = 0; index < size.rules; index++) {
    const random = seeded(size.seed * 1_000_003 + index);
    const { oracle, compiled } = randomRule(random, `random.${index}`);
    const settings = settingsFor([compiled]);
    for (let run = 0; run < size.streamsPerRule; run++) {
      const stream = randomStream(random);
      const expected = ['main', 'other'].flatMap((session) => {
        // Events of other sessions still move the watermark: they stay, as events that match nothing.
        const seen = stream.events.map((e) => (e.session === session ? e : { ...e, class: '' }));
        return [...expectedAlerts(oracle, seen)];
      });
      const compare = (found: ReadonlySet<string> | undefined, how: string): void => {
        const [actual, wanted] = [[...(found ?? [])].toSorted(), expected.toSorted()];
        // What is said of a difference costs as much as a stream takes to run.
        if (isDeepStrictEqual(actual, wanted)) return;
        const where = JSON.stringify({ seed: size.seed, index, run, oracle, events: stream.events });
        assert.deepEqual(actual, wanted, how + where);
      };
      compare(runStageOne(settings, stream.records).get(compiled.id), '');
      const cut = random(stream.records.length);
      compare(runStageOne(settings, stream.records, cut).get(compiled.id), `restart at ${cut}: `);
      alerts += expected.length;
      for (const name of partsOf(oracle, stream)) byPart[name] += expected.length;
    }
  }
  return { streams: size.rules * size.streamsPerRule, alerts, byPart };
}
