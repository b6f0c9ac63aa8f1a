/**
 * Projections: the columns of `events`, `alerts` and `dead_letters` as pure functions of a line's bytes. `record` writes
 * them, the verifier derives them again and compares, so that nobody edits only the column that people query.
 */
import {
  classify,
  CLASSIFIER_VERSION,
  destHost,
  type ClassMappingLine,
} from '../../detectors/classify/index.ts';
import { effectiveTimeMs, parseTimeMs } from '../../detectors/engine/time.ts';
import type { AlertLine } from '../../schemas/alert/v1.ts';
import type { DeadLetterLine } from '../../schemas/deadletter/v1.ts';
import { MAX_INLINE_BODY_BYTES, type Event } from '../../schemas/event/v1.ts';
import { toHex, utf8, type Sha256 } from './bytes.ts';
import { BACKFILL_AFTER_MS, ENTRY_FLAGS } from './entry.ts';

/** What the effective class was computed with. `body` is stored once per version, so that a verifier can repeat it. */
export interface ClassMappingVersion {
  /** SHA-256 of `body`, hex. */
  readonly version: string;
  readonly body: string;
  readonly mappings: readonly ClassMappingLine[];
  readonly internalHosts: readonly string[];
  /** False for a body of another classifier: its classes cannot be derived by this program. */
  readonly derivable: boolean;
}

export function classMappingVersion(
  settings: { readonly mappings: readonly ClassMappingLine[]; readonly internalHosts: readonly string[] },
  sha256: Sha256,
): ClassMappingVersion {
  const { mappings, internalHosts } = settings;
  const body = JSON.stringify({ classifier: CLASSIFIER_VERSION, mappings, internalHosts });
  return { version: toHex(sha256(utf8(body))), body, mappings, internalHosts, derivable: true };
}

/** By version: those of a bundle's header that are what their versions say. */
export function classMappings(
  stored: readonly { readonly version: string; readonly body: string }[],
  sha256: Sha256,
): ReadonlyMap<string, ClassMappingVersion> {
  const read = stored.flatMap(({ version, body }) => readClassMapping(version, body, sha256) ?? []);
  return new Map(read.map((mapping) => [mapping.version, mapping]));
}

/** Reads a stored body; undefined when it is not what its version says. */
function readClassMapping(version: string, body: string, sha256: Sha256): ClassMappingVersion | undefined {
  if (toHex(sha256(utf8(body))) !== version) return undefined;
  try {
    const parsed = JSON.parse(body) as {
      classifier: unknown;
      mappings: readonly ClassMappingLine[];
      internalHosts: readonly string[];
    };
    const { mappings, internalHosts } = parsed;
    if (!Array.isArray(mappings) || !Array.isArray(internalHosts)) return undefined;
    return { version, body, mappings, internalHosts, derivable: parsed.classifier === CLASSIFIER_VERSION };
  } catch {
    return undefined;
  }
}

/** Columns of `events` that follow from the line; names as in the table, times in Unix ms. */
export interface EventProjection {
  readonly session_id: string;
  readonly event_time: number;
  readonly effective_time: number;
  readonly kind: string;
  readonly agent: string;
  readonly principal: string;
  readonly host: string;
  readonly call_id: string;
  readonly logical_call_id: string;
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id: string;
  readonly server: string;
  readonly transport: string;
  readonly tool: string;
  readonly claimed_class: string;
  readonly class: string;
  readonly class_source: string;
  readonly class_version: string;
  readonly dest_host: string;
  readonly definition_hash: string;
  readonly args_hash: string;
  readonly args_bytes: number;
  readonly result_hash: string;
  readonly result_bytes: number;
  readonly schema_valid: boolean | null;
  readonly outcome: string;
  readonly duration_ms: number;
  readonly trust: string;
  readonly labels: readonly string[];
  readonly verdict: string;
  readonly control_id: string;
  readonly approval_id: string;
  readonly method: string;
  readonly resource_uri: string;
  readonly task_id: string;
  readonly decision_id: string;
  readonly policy_id: string;
  readonly policy_version: number;
  readonly policy_mode: string;
  readonly policy_effect: string;
  readonly policy_rule: string;
  /** Empty where no policy is named, and on rows of before the column. */
  readonly policy_hash: string;
  /** How long the approval that is asked for may be answered, ms; 0 where none is. */
  readonly approval_ttl_ms: number;
  readonly unknown_fields: readonly string[];
  readonly findings: readonly string[];
}

export interface ProjectionInput {
  readonly event: Event;
  readonly unknownFields: readonly string[];
  readonly appendMs: number;
  /** Effective time of the stream's entry before; Number.NEGATIVE_INFINITY where there is none. */
  readonly previousEffectiveMs: number;
  readonly equivocation: boolean;
  readonly mapping: ClassMappingVersion;
}

export const NONE: readonly string[] = Object.freeze([]);
const MAX_LISTED_UNKNOWN_FIELDS = 64;
/** How far the event's clock may be ahead of the bus before it is a finding. */
const FUTURE_AFTER_MS = 5_000;

/** A stream.close names how many events its stream had, itself included. */
function closesShort(event: Event): boolean {
  if (event.kind !== 'stream.close') return false;
  const count = event.streamState?.count;
  return count !== undefined && count !== event.seq + 1;
}

type FindingsInput = Pick<ProjectionInput, 'event' | 'unknownFields' | 'appendMs' | 'equivocation'>;

/** `eventMs`: time of the line. */
export function findingsOf(input: FindingsInput, eventMs: number): readonly string[] {
  const { event } = input;
  const findings: string[] = [];
  if (input.equivocation) findings.push('equivocation');
  if (eventMs - input.appendMs > FUTURE_AFTER_MS) findings.push('clock_ahead');
  if (input.appendMs - eventMs > BACKFILL_AFTER_MS) findings.push('backfill');
  if (input.unknownFields.length > 0) findings.push('unknown_fields');
  if (event.kind === 'stream.gap') findings.push('gap');
  if (closesShort(event)) findings.push('close_count_differs');
  return findings.length === 0 ? NONE : findings;
}

export function trustText(trust: Event['trust']): string {
  if (trust === undefined) return '';
  return typeof trust === 'string' ? trust : trust.level;
}

// A line's time is asked for twice in a row.
let lastTime = '';
let lastTimeMs = Number.NaN;

/** Time of the line, Unix ms; the append time where it names no time. */
export function lineTimeMs(time: string, appendMs: number): number {
  const parsed = time === lastTime ? lastTimeMs : parseTimeMs(time);
  lastTime = time;
  lastTimeMs = parsed;
  return Number.isNaN(parsed) ? appendMs : parsed;
}

/** ClickHouse keeps DateTime64(3) between 1900 and 2299; the exact text stays in the bytes. */
const MIN_TIME_MS = -2_208_988_800_000;
const MAX_TIME_MS = 10_413_791_999_999;
export const storable = (timeMs: number): number => Math.min(Math.max(timeMs, MIN_TIME_MS), MAX_TIME_MS);

const textOf = (value: string | undefined): string => value ?? '';
const countOf = (value: number | undefined): number => value ?? 0;

function listedUnknown(names: readonly string[]): readonly string[] {
  if (names.length === 0) return NONE;
  return names.slice(0, MAX_LISTED_UNKNOWN_FIELDS).map((name) => name.slice(0, 256));
}

export type MessageColumns = Pick<EventProjection, 'method' | 'resource_uri' | 'task_id' | 'decision_id'>;
const NO_MESSAGE: MessageColumns = Object.freeze({
  method: '',
  resource_uri: '',
  task_id: '',
  decision_id: '',
});

/** What a message that is no plain tool call is about. */
export function messageColumns(event: Event): MessageColumns {
  const { method, mcp, decision } = event;
  const decisionId = event.decisionId ?? decision?.id;
  if (method === undefined && mcp === undefined && decisionId === undefined) return NO_MESSAGE;
  return {
    method: textOf(method),
    resource_uri: textOf(mcp?.uri),
    task_id: textOf(mcp?.taskId),
    decision_id: textOf(decisionId),
  };
}

export type PolicyColumns = Pick<
  EventProjection,
  | 'policy_id'
  | 'policy_version'
  | 'policy_mode'
  | 'policy_effect'
  | 'policy_rule'
  | 'policy_hash'
  | 'approval_ttl_ms'
>;
/** Of an event without a policy, and of rows that were written before there were such columns. */
export const NO_POLICY: PolicyColumns = Object.freeze({
  policy_id: '',
  policy_version: 0,
  policy_mode: '',
  policy_effect: '',
  policy_rule: '',
  policy_hash: '',
  approval_ttl_ms: 0,
});

export function policyColumns({ policy }: Event): PolicyColumns {
  if (policy === undefined) return NO_POLICY;
  return {
    policy_id: policy.id,
    policy_version: policy.version,
    policy_mode: policy.mode,
    policy_effect: textOf(policy.effect),
    policy_rule: textOf(policy.rule),
    policy_hash: policy.hash,
    approval_ttl_ms: countOf(policy.request?.ttlMs),
  };
}

/** The row of `events` for a line, without its position. */
export function projectEvent(input: ProjectionInput): EventProjection {
  const { event, mapping } = input;
  const eventMs = lineTimeMs(event.time, input.appendMs);
  const effective = classify(event, mapping.mappings);
  return {
    session_id: event.session,
    event_time: storable(eventMs),
    effective_time: storable(effectiveTimeMs(eventMs, input.appendMs, input.previousEffectiveMs)),
    kind: event.kind,
    agent: event.agent,
    principal: textOf(event.principal),
    host: textOf(event.host),
    call_id: textOf(event.callId),
    logical_call_id: textOf(event.logicalCallId),
    trace_id: textOf(event.traceId),
    span_id: textOf(event.spanId),
    parent_span_id: textOf(event.parentSpanId),
    server: textOf(event.server),
    transport: textOf(event.transport),
    tool: textOf(event.tool),
    claimed_class: textOf(event.class),
    class: effective.class,
    class_source: effective.source,
    class_version: mapping.version,
    dest_host: event.args === undefined ? '' : destHost(event, mapping.internalHosts),
    definition_hash: textOf(event.definitionHash),
    args_hash: textOf(event.argsHash),
    args_bytes: countOf(event.argsBytes),
    result_hash: textOf(event.resultHash),
    result_bytes: countOf(event.resultBytes),
    schema_valid: event.schemaValid ?? null,
    outcome: textOf(event.outcome),
    duration_ms: countOf(event.durationMs),
    trust: trustText(event.trust),
    labels: event.labels ?? NONE,
    verdict: textOf(event.verdict),
    control_id: textOf(event.controlId),
    approval_id: textOf(event.approvalId),
    ...messageColumns(event),
    ...policyColumns(event),
    unknown_fields: listedUnknown(input.unknownFields),
    findings: findingsOf(input, eventMs),
  };
}

/** Entry flags that follow from the line, its time and its append time. */
export function lineFlags(
  event: Event,
  appendMs: number,
  eventMs: number = lineTimeMs(event.time, appendMs),
): number {
  let flags = 0;
  if (appendMs - eventMs > BACKFILL_AFTER_MS) flags |= ENTRY_FLAGS.backfill;
  const cutArguments = (event.argsBytes ?? 0) > MAX_INLINE_BODY_BYTES && event.args === undefined;
  const cutResult = (event.resultBytes ?? 0) > MAX_INLINE_BODY_BYTES && event.result === undefined;
  if (event.kind === 'call.body' || cutArguments || cutResult) flags |= ENTRY_FLAGS.oversizeBody;
  return flags;
}

/** Columns of `alerts` that follow from the line; `body` is the alert as JSON text. */
export interface AlertProjection {
  readonly alert_id: string;
  readonly rule_id: string;
  readonly rule_hash: string;
  readonly title: string;
  readonly level: string;
  readonly mode: string;
  readonly scope: string;
  readonly session_id: string;
  readonly agent: string;
  readonly effective_time: number;
  readonly time_basis: string;
  readonly tags: readonly string[];
  readonly body: string;
}

export function projectAlert(line: AlertLine, appendMs: number): AlertProjection {
  const { alert } = line;
  return {
    alert_id: alert.id,
    rule_id: alert.ruleId,
    rule_hash: alert.ruleHash,
    title: alert.title,
    level: alert.level,
    mode: alert.mode,
    scope: alert.scope,
    session_id: line.session,
    agent: line.agent,
    effective_time: storable(lineTimeMs(line.time, appendMs)),
    time_basis: alert.timeBasis,
    tags: alert.tags,
    body: JSON.stringify(alert),
  };
}

/** Columns of `dead_letters` that follow from the line. */
export interface DeadLetterProjection {
  readonly code: string;
  readonly path: string;
  readonly message: string;
  readonly origin: string;
  readonly raw_bytes: number;
  readonly raw_hash: string;
}

/** For a line of the topic deadletters, whose raw bytes travel as base64 inside. */
export function projectDeadLetter(line: DeadLetterLine): DeadLetterProjection {
  const { deadLetter } = line;
  return {
    code: deadLetter.code,
    path: deadLetter.path ?? '',
    message: deadLetter.message,
    origin: deadLetter.origin,
    raw_bytes: deadLetter.rawBytes,
    raw_hash: deadLetter.rawHash,
  };
}

/** For a line that could not be read where it stood. */
export function projectRejected(
  reason: { readonly code: string; readonly path: string; readonly message: string },
  at: { readonly origin: string; readonly bytes: Uint8Array },
  sha256: Sha256,
): DeadLetterProjection {
  return {
    code: reason.code,
    path: reason.path,
    message: reason.message,
    origin: at.origin,
    raw_bytes: at.bytes.length,
    raw_hash: toHex(sha256(at.bytes)),
  };
}
