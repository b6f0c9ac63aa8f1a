/**
 * The compiled form of zEvent for the hot path: one function a field, no schema walk an event. Held to zEvent by a
 * differential property test; where a field is rare and nested, zEvent's own schema does the work.
 */
import type { z } from 'zod';
import {
  EVENT_KINDS,
  OUTCOMES,
  TOOL_CLASSES,
  TRANSPORTS,
  zApproval,
  zBodyPart,
  zCertificate,
  zConnection,
  zControlAck,
  zDecision,
  zDelivered,
  zEvent,
  zHold,
  zLabelMappingChange,
  zLabelMappingStamp,
  zMcp,
  zPeers,
  zRegistry,
  zStreamState,
  zPolicyChange,
  zPolicyStamp,
  zRedacted,
} from './v1.ts';

/** Path (relative to the field) and message of a fault; undefined when the value is fine. */
export type FieldFault = { readonly path: string; readonly message: string } | undefined;
type Check = (value: unknown) => FieldFault;

const fault = (message: string): FieldFault => ({ path: '', message });

/** \p{Cc}: U+0000-001F and U+007F-009F. A loop over a short string costs a third of a regular expression. */
function holdsControl(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  }
  return false;
}
const name: Check = (value) => {
  if (typeof value !== 'string') return fault('must be a string');
  if (value.length === 0 || value.length > 256) return fault('must have 1 to 256 characters');
  return holdsControl(value) ? fault('must hold no control characters') : undefined;
};
function isHex(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x66 || (code > 0x39 && code < 0x61)) return false;
  }
  return true;
}
const hex =
  (digits: number): Check =>
  (value) =>
    typeof value === 'string' && value.length === digits && isHex(value)
      ? undefined
      : fault(`must be ${digits} lower-case hex digits`);
const oneOf = (values: readonly string[]): Check => {
  const known = new Set<unknown>(values);
  return (value) => (known.has(value) ? undefined : fault(`must be one of ${values.join(', ')}`));
};
const count: Check = (value) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? undefined
    : fault('must be a whole number from 0 to 2^53-1');
const TIME = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;
const time: Check = (value) =>
  typeof value === 'string' && TIME.test(value)
    ? undefined
    : fault('must be RFC 3339 in UTC with milliseconds');
const text =
  (maxLength: number): Check =>
  (value) =>
    typeof value === 'string' && value.length <= maxLength
      ? undefined
      : fault(`must be a string of at most ${maxLength} characters`);
const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const object: Check = (value) => (isObject(value) ? undefined : fault('must be an object'));
const anything: Check = () => undefined;
const boolean: Check = (value) => (typeof value === 'boolean' ? undefined : fault('must be true or false'));
const duration: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= 1e12
    ? undefined
    : fault('must be a number from 0 to 1e12');
const version: Check = (value) => (value === 1 ? undefined : fault('must be 1'));
const labels: Check = (value) =>
  Array.isArray(value) &&
  value.length <= 64 &&
  value.every((label) => typeof label === 'string' && label.length <= 64)
    ? undefined
    : fault('must be at most 64 strings of at most 64 characters');
/** Every result has one: its usual form is told without the schema. */
const trust: Check = (value) =>
  isObject(value) && isUsualTrust(value as Readonly<Record<string, unknown>>)
    ? undefined
    : bySchema(zEvent.shape.trust)(value);
function isUsualTrust({ level, by }: Readonly<Record<string, unknown>>): boolean {
  return typeof level === 'string' && level.length <= 64 && (by === undefined || name(by) === undefined);
}
const bySchema =
  (schema: z.ZodType): Check =>
  (value) => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return undefined;
    const issue = parsed.error.issues[0];
    const path = (issue?.path ?? [])
      .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
      .join('');
    return { path, message: issue?.message ?? 'has the wrong form' };
  };

type Field = keyof typeof zEvent.shape;
const CHECK_BY_FIELD: Readonly<Record<Field, Check>> = {
  v: version,
  kind: oneOf(EVENT_KINDS),
  stream: hex(32),
  seq: count,
  nonce: hex(32),
  time,
  session: name,
  agent: name,
  principal: name,
  host: name,
  callId: name,
  logicalCallId: name,
  decisionId: name,
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: hex(16),
  server: name,
  transport: oneOf(TRANSPORTS),
  tool: name,
  method: name,
  class: oneOf(TOOL_CLASSES),
  definitionHash: hex(64),
  annotations: object,
  args: anything,
  argsHash: hex(64),
  argsBytes: count,
  result: anything,
  resultHash: hex(64),
  resultBytes: count,
  schemaValid: boolean,
  outcome: oneOf(OUTCOMES),
  durationMs: duration,
  trust,
  labels,
  sensitive: bySchema(zEvent.shape.sensitive),
  delivered: bySchema(zDelivered),
  verdict: text(64),
  controlId: name,
  approvalId: name,
  policy: bySchema(zPolicyStamp),
  policyChange: bySchema(zPolicyChange),
  labelMapping: bySchema(zLabelMappingStamp),
  labelMappingChange: bySchema(zLabelMappingChange),
  hold: bySchema(zHold),
  error: bySchema(zEvent.shape.error),
  approval: bySchema(zApproval),
  decision: bySchema(zDecision),
  registry: bySchema(zRegistry),
  mcp: bySchema(zMcp),
  peers: bySchema(zPeers),
  body: bySchema(zBodyPart),
  streamState: bySchema(zStreamState),
  ack: bySchema(zControlAck),
  connection: bySchema(zConnection),
  certificate: bySchema(zCertificate),
  redaction: bySchema(zRedacted),
};

/** One more than any sum of fields can make up for. */
const AT_FAULT = -1000;

/** 1 for a field that is there and fine. */
function fine(value: unknown, check: Check): number {
  if (value === undefined) return 0;
  return check(value) === undefined ? 1 : AT_FAULT;
}

type Claimed = Readonly<Partial<Record<Field, unknown>>>;

const hex16 = CHECK_BY_FIELD.spanId;
const hex32 = CHECK_BY_FIELD.stream;
const hex64 = CHECK_BY_FIELD.argsHash;

const fineOfStream = (event: Claimed): number =>
  fine(event.v, version) +
  fine(event.kind, CHECK_BY_FIELD.kind) +
  fine(event.stream, hex32) +
  fine(event.seq, count) +
  fine(event.nonce, hex32) +
  fine(event.time, time) +
  fine(event.session, name) +
  fine(event.agent, name) +
  fine(event.principal, name) +
  fine(event.host, name);
const fineOfCall = (event: Claimed): number =>
  fine(event.callId, name) +
  fine(event.logicalCallId, name) +
  fine(event.traceId, hex32) +
  fine(event.spanId, hex16) +
  fine(event.parentSpanId, hex16) +
  fine(event.server, name) +
  fine(event.transport, CHECK_BY_FIELD.transport) +
  fine(event.tool, name) +
  fine(event.class, CHECK_BY_FIELD.class) +
  fine(event.definitionHash, hex64) +
  fine(event.annotations, object);
const fineOfBodies = (event: Claimed): number =>
  fine(event.args, anything) +
  fine(event.argsHash, hex64) +
  fine(event.argsBytes, count) +
  fine(event.result, anything) +
  fine(event.resultHash, hex64) +
  fine(event.resultBytes, count) +
  fine(event.schemaValid, boolean) +
  fine(event.outcome, CHECK_BY_FIELD.outcome) +
  fine(event.durationMs, duration) +
  fine(event.trust, trust) +
  fine(event.labels, labels) +
  fine(event.verdict, CHECK_BY_FIELD.verdict) +
  fine(event.controlId, name) +
  fine(event.approvalId, name);

/**
 * True when every field is a usual one and fine; false where a field by field look has to tell. Fields read by their
 * names cost half of what a walk over the keys does.
 */
export function areUsualFields(value: Readonly<Record<string, unknown>>): boolean {
  const found = fineOfStream(value) + fineOfCall(value) + fineOfBodies(value);
  return found === Object.keys(value).length;
}

export const FIELD_CHECKS: ReadonlyMap<string, Check> = new Map(Object.entries(CHECK_BY_FIELD));
export const REQUIRED_FIELDS = [
  'v',
  'kind',
  'stream',
  'seq',
  'nonce',
  'time',
  'session',
  'agent',
] as const satisfies readonly Field[];
