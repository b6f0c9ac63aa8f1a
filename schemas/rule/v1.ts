/**
 * A detection rule, version 1, as it stands in YAML (one or more documents a file). Strict: an unknown name is a fault.
 * What a rule means is fixed in detectors/rules/README.md.
 */
import { z } from 'zod';
import { zName, zTime } from '../event/v1.ts';
import { CONTROL_SCOPES, LEVELS, RULE_MODES } from '../alert/v1.ts';
import { CONTROL_MODES } from '../control/v1.ts';

/** `10m`, `500ms`, `2h`: a whole number with its unit. */
export const zDuration = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h|d)$/, 'must be a whole number with a unit: ms, s, m, h or d')
  .refine((text) => (durationMs(text) ?? 0) <= MAX_DURATION_MS, 'must be at most 90 days');

export const MAX_DURATION_MS = 90 * 86_400_000;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration in ms, undefined when the text is none. */
export function durationMs(text: string): number | undefined {
  const parts = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const unit = parts?.[2] === undefined ? undefined : UNIT_MS[parts[2]];
  return parts?.[1] === undefined || unit === undefined ? undefined : Number(parts[1]) * unit;
}

/** Name of a selection or key: a word. */
export const zWord = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'must be a word: letters, digits, _');
export const zRuleId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,127}$/, 'must be lower-case letters, digits, dots, dashes');

const zScalar = z.union([z.string().max(1024), z.number(), z.boolean()]);
/** field|modifier: value or list of values (any of them). */
const zFields = z
  .record(z.string().min(1).max(256), z.union([zScalar, z.array(zScalar).min(1).max(1024)]))
  .refine((fields) => Object.keys(fields).length > 0, 'must name at least one field');
export type SelectionFields = z.infer<typeof zFields>;
/** All lines of a map hold; of a list of maps, any one does. */
export const zSelection = z.union([zFields, z.array(zFields).min(1).max(64)]);

/** A field of the event, `field?` = may be missing. */
const zKeyField = z.string().min(1).max(128);
export const zKey = z.union([zKeyField, z.record(zWord, z.union([zKeyField, z.record(zWord, zKeyField)]))]);

/** Most elements that a sequence has once its repeated steps are written out: each is a bit of a 32-bit mask. */
export const MAX_STEPS = 30;

export const zStep = z.union([
  zWord,
  z.strictObject({
    event: zWord,
    /** Name of the step where an event stands twice. */
    as: zWord.optional(),
    /** Longest time since the step before. */
    within: zDuration.optional(),
    /** The sequence also holds without it; it then bridges no gap and shows in no alert. */
    optional: z.boolean().optional(),
    repeat: z
      .strictObject({ min: z.number().int().min(1).max(16), max: z.number().int().min(1).max(16).optional() })
      .refine(({ min, max }) => max === undefined || max >= min, 'max must not be below min')
      .optional(),
  }),
]);

export const zGuard = z.union([
  z.strictObject({ event: zWord, between: z.tuple([zWord, zWord]) }),
  z.strictObject({ event: zWord, before: zWord, for: zDuration }),
  z.strictObject({ event: zWord, after: zWord, for: zDuration }),
]);

/** A value that one step read leaves in another: compared by fingerprint, also through encodings. */
export const zFlow = z.strictObject({
  /** step.field, as `secret.result`. */
  from: z.string().min(3).max(256),
  to: z.string().min(3).max(256),
  /** exact, base64, hex, url, reverse, chunks>=N, ngram>=N; label: only values that carry label secret. */
  via: z.array(z.string().min(1).max(32)).min(1).max(8).default(['exact']),
  /** Bits a character below which a value says nothing (true, https, a common word). */
  min_entropy: z.number().min(0).max(8).default(2.5),
});

const zThresholds = {
  gt: z.number().optional(),
  gte: z.number().optional(),
  lt: z.number().optional(),
  lte: z.number().optional(),
  eq: z.number().optional(),
  neq: z.number().optional(),
};
const zBaseline = z
  .string()
  .regex(
    /^\d+(\.\d+)?\s*x\s*baseline\(\d{1,9}(ms|s|m|h|d)\)$/,
    'must read as in "5 x baseline(7d)": a factor and how long the baseline reaches back',
  );
const zField = z.string().min(1).max(128);
const zWindowed = { event: zWord, within: zDuration, ...zThresholds };

/** One measure over the events of a key; the window ends at the event at hand and holds it. */
export const zStatistic = z.union([
  z.strictObject({ count: zWord, within: zDuration, ...zThresholds }),
  z.strictObject({ distinct: zField, ...zWindowed }),
  z.strictObject({ sum: zField, ...zWindowed }),
  z.strictObject({ avg: zField, ...zWindowed }),
  z.strictObject({
    percentile: zField,
    p: z.number().min(0).max(100),
    min_count: z.number().int().min(1).max(4096).default(10),
    ...zWindowed,
  }),
  z.strictObject({
    rate: zWord,
    within: zDuration,
    /** Below this many in the window nothing is said. */
    min_count: z.number().int().min(1).max(4096).default(5),
    gt: zBaseline.optional(),
    gte: zBaseline.optional(),
  }),
  z.strictObject({
    drift: zField,
    event: zWord,
    method: z.enum(['page_hinkley', 'cusum', 'adwin']).default('page_hinkley'),
    delta: z.number().min(0).max(100).default(0.005),
    lambda: z.number().min(0).max(100_000).default(50),
    warmup: z.number().int().min(1).max(100_000).default(500),
  }),
  z.strictObject({
    novel_ngram: zField,
    event: zWord,
    n: z.number().int().min(2).max(8).default(4),
    window: z.number().int().min(1).max(256).default(20),
    gte: z.number().int().min(1).max(256).default(6),
    warmup: z.number().int().min(1).max(100_000).default(200),
  }),
]);
export type StatisticSource = z.infer<typeof zStatistic>;

/** Calls that are known to be harmless: their alerts are told in mode shadow, by name, until the exception ends. */
export const zException = z.strictObject({
  name: z.string().min(1).max(128),
  /** What the completing event of an alert is like. */
  when: zSelection,
  owner: z.string().min(1).max(256),
  reason: z.string().min(1).max(1024),
  expires: zTime,
});

export const STATUSES = ['experimental', 'test', 'stable', 'deprecated'] as const;

export const zAction = z.strictObject({
  type: z.literal('kill'),
  scope: z.enum(CONTROL_SCOPES),
  /** Field of the completing call that names the target (session, agent, tool.name, tool.class, server). */
  target: z.string().min(1).max(128).optional(),
  mode: z.enum(CONTROL_MODES).default('enforce'),
  ttl: zDuration,
});

/** An event of a rule's own test: made from selection `e` (with `set` on top), or a whole event as a producer would send it. */
export const zTestEvent = z.union([
  z.strictObject({
    e: zWord,
    t: zDuration,
    session: zName.optional(),
    agent: zName.optional(),
    /** Time of arrival, where it is later than `t`. */
    arrives: zDuration.optional(),
    set: z.record(z.string(), z.unknown()).optional(),
  }),
  z.strictObject({
    event: z.record(z.string(), z.unknown()),
    t: zDuration,
    session: zName.optional(),
    agent: zName.optional(),
    arrives: zDuration.optional(),
  }),
]);
export type TestEvent = z.infer<typeof zTestEvent>;

export const zRuleTest = z.strictObject({
  name: z.string().min(1).max(128),
  events: z.array(zTestEvent).min(1).max(256),
  /** Positions in `events` (from 0) of the completing events of the alerts, ascending. */
  expect: z.array(z.number().int().min(0)),
});
export type RuleTest = z.infer<typeof zRuleTest>;

const zRuleBody = z.strictObject({
  id: zRuleId,
  title: z.string().min(1).max(512),
  /** Why the rule exists: what an attacker gains where it fires. */
  description: z.string().max(4096).optional(),
  status: z.enum(STATUSES).default('stable'),
  references: z.array(z.string().min(1).max(512)).max(32).default([]),
  false_positives: z.array(z.string().min(1).max(512)).max(32).default([]),
  level: z.enum(LEVELS),
  mode: z.enum(RULE_MODES).default('alert'),
  tags: z.array(z.string().max(128)).max(64).default([]),
  key: zKey,
  /** Default contents of `$name` lists; the operator's lists (config.rules.lists) take their place. */
  lists: z.record(zWord, z.array(z.string().max(1024)).max(1024)).default({}),
  events: z.record(zWord, zSelection),
  /** Steps in order. */
  sequence: z.array(zStep).min(1).max(16).optional(),
  /** Events in any order, each another call. */
  all_of: z.array(zWord).min(2).max(6).optional(),
  /** Measures, any of which makes an alert. */
  any_of: z.array(zStatistic).min(1).max(8).optional(),
  /** First to last call, inclusive. */
  within: zDuration.optional(),
  join: z.array(z.string().min(1).max(256)).max(32).default([]),
  flow: z.array(zFlow).max(8).default([]),
  without: z.array(zGuard).max(16).default([]),
  /** Event that ends every run that has begun: none may lie between the first and the last call. */
  until: zWord.optional(),
  late: z.strictObject({ wait: zDuration }).optional(),
  limits: z.strictObject({ runs_per_key: z.number().int().min(1).max(4096) }).optional(),
  after_match: z
    .union([
      z.enum(['every', 'skip_past_last']),
      z.strictObject({
        once_per: z.union([z.string().min(1).max(128), z.array(z.string().min(1).max(128)).min(1).max(8)]),
        for: zDuration,
      }),
    ])
    .default('every'),
  exceptions: z.array(zException).max(64).default([]),
  action: zAction.optional(),
  tests: z.array(zRuleTest).max(64).default([]),
});

export const zRule = zRuleBody.refine(
  ({ sequence, all_of: allOf, any_of: anyOf }) =>
    [sequence, allOf, anyOf].filter((body) => body !== undefined).length === 1,
  { message: 'must have exactly one of sequence, all_of and any_of', path: ['sequence'] },
);
export type RuleSource = z.infer<typeof zRule>;
