/**
 * A detection rule, version 1, as it stands in YAML (one or more documents a file). Strict: an unknown name is a fault.
 * What a rule means is fixed in detectors/rules/README.md.
 */
import { z } from 'zod';
import { zName } from '../event/v1.ts';
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
export const zSelection = z
  .record(z.string().min(1).max(256), z.union([zScalar, z.array(zScalar).min(1).max(1024)]))
  .refine((fields) => Object.keys(fields).length > 0, 'must name at least one field');

/** A field of the event, `field?` = may be missing. */
const zKeyField = z.string().min(1).max(128);
export const zKey = z.union([zKeyField, z.record(zWord, z.union([zKeyField, z.record(zWord, zKeyField)]))]);

export const zStep = z.union([zWord, z.strictObject({ event: zWord, within: zDuration.optional() })]);

export const zGuard = z.union([
  z.strictObject({ event: zWord, between: z.tuple([zWord, zWord]) }),
  z.strictObject({ event: zWord, before: zWord, for: zDuration }),
  z.strictObject({ event: zWord, after: zWord, for: zDuration }),
]);

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

export const zRule = z.strictObject({
  id: zRuleId,
  title: z.string().min(1).max(512),
  description: z.string().max(4096).optional(),
  level: z.enum(LEVELS),
  mode: z.enum(RULE_MODES).default('alert'),
  tags: z.array(z.string().max(128)).max(64).default([]),
  key: zKey,
  /** Default contents of `$name` lists; the operator's lists (config.rules.lists) take their place. */
  lists: z.record(zWord, z.array(z.string().max(1024)).max(1024)).default({}),
  events: z.record(zWord, zSelection),
  sequence: z.array(zStep).min(1).max(16),
  within: zDuration.optional(),
  join: z.array(z.string().min(1).max(256)).max(32).default([]),
  without: z.array(zGuard).max(16).default([]),
  late: z.strictObject({ wait: zDuration }).optional(),
  limits: z.strictObject({ runs_per_key: z.number().int().min(1).max(4096) }).optional(),
  after_match: z
    .union([
      z.literal('every'),
      z.strictObject({
        once_per: z.union([z.string().min(1).max(128), z.array(z.string().min(1).max(128)).min(1).max(8)]),
        for: zDuration,
      }),
    ])
    .default('every'),
  action: zAction.optional(),
  tests: z.array(zRuleTest).max(64).default([]),
});
export type RuleSource = z.infer<typeof zRule>;
