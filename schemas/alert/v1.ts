/**
 * An alert, version 1. It travels as one NDJSON line in the event envelope (`kind: alert`, field `alert`): a stream of
 * its own (stream = first 16 bytes of the id, nonce = last 16, seq 0, `time` = effective time of the completing event),
 * so that a second publication is the same bytes. No wall clock, no ledger index: both are unknown or not
 * deterministic when it is made.
 */
import { z } from 'zod';
import { zHex32, zHex64, zName, zTime } from '../event/v1.ts';

export const LEVELS = ['informational', 'low', 'medium', 'high', 'critical'] as const;
export type Level = (typeof LEVELS)[number];
export const RULE_MODES = ['off', 'shadow', 'alert', 'enforce'] as const;
export type RuleMode = (typeof RULE_MODES)[number];
export const CONTROL_SCOPES = ['tool', 'class', 'server', 'agent', 'session', 'tenant', 'global'] as const;
export type ControlScope = (typeof CONTROL_SCOPES)[number];

/** Where an event stands on the bus, and what an analyst needs to see of it without a look-up. */
export const zCallReference = z.strictObject({
  step: zName,
  eventId: z.string().max(64),
  topic: z.string(),
  partition: z.number().int(),
  offset: z.number().int(),
  line: z.number().int(),
  time: zTime,
  session: zName,
  agent: zName,
  callId: zName.optional(),
  server: zName.optional(),
  tool: zName.optional(),
  class: zName.optional(),
  destHost: z.string().max(256).optional(),
  traceId: zHex32.optional(),
  /** Id of the alert that stood for this step, where a rule on alerts asked for one; the rest is the call that completed it. */
  alert: zHex64.optional(),
});
export type CallReference = z.infer<typeof zCallReference>;

export const zAlertBody = z.strictObject({
  id: zHex64,
  ruleId: zName,
  /** Semantic hash: title, tags, tests, mode and action do not change it. */
  ruleHash: zHex64,
  title: z.string().max(512),
  level: z.enum(LEVELS),
  mode: z.enum(RULE_MODES),
  tags: z.array(z.string().max(128)),
  /** Scope in which the rule ran. */
  scope: z.enum(['session', 'tenant']),
  /** Values of the rule's key, by name. */
  key: z.record(z.string(), z.string()),
  /** `append`: it held only by append time and position, since a clock was wrong or back-dated; never kills by itself. */
  timeBasis: z.enum(['event', 'append']),
  /** The assignment, in order of the rule's steps; the last is the completing event. */
  calls: z.array(zCallReference).min(1).max(64),
  action: z
    .strictObject({
      type: z.literal('kill'),
      scope: z.enum(CONTROL_SCOPES),
      target: zName,
      mode: z.enum(['shadow', 'enforce']),
      ttlMs: z.number().int(),
    })
    .optional(),
  /** Exception of the rule under which it falls: known to be harmless, told in mode shadow. */
  exception: z.string().max(128).optional(),
  /** What the measure read, for rules that count. */
  measured: z.number().optional(),
  summary: z.string().max(2048),
});
export type AlertBody = z.infer<typeof zAlertBody>;

export const zAlertLine = z.strictObject({
  v: z.literal(1),
  kind: z.literal('alert'),
  stream: zHex32,
  seq: z.literal(0),
  nonce: zHex32,
  time: zTime,
  session: zName,
  agent: zName,
  alert: zAlertBody,
});
export type AlertLine = z.infer<typeof zAlertLine>;
