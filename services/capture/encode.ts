/**
 * Drafts → lines: the exact bytes that are hashed, spooled and sent. A body stands in its line byte for byte as it came
 * over the wire, where readers can agree on it (valid JSON, bounded depth, no key twice, at most 256 KiB); else it
 * travels as call.body parts, which are JSON strings and always safe.
 */
import { MAX_BODY_BYTES, MAX_INLINE_BODY_BYTES, MAX_JSON_DEPTH } from './limits.ts';
import type { DraftBody, EventDraft } from './draft.ts';
import { inlineFault } from './json-scan.ts';

/** Fields that are the same for all events of a stream. */
export interface StreamIdentity {
  /** 32 lower-case hex digits. */
  readonly stream: string;
  readonly session: string;
  readonly agent: string;
  readonly principal: string | undefined;
  readonly host: string | undefined;
}

/** What is different for each line. */
export interface LinePlace {
  readonly seq: number;
  /** 32 lower-case hex digits. */
  readonly nonce: string;
}

/** A line that still lacks its place in the stream. */
export interface PreparedLine {
  readonly kind: string;
  readonly time: string;
  readonly fields: string;
  /** `,"args":` or `,"result":` and the raw bytes, or nothing. */
  readonly body: Uint8Array | undefined;
}

/** As text each byte of JSON may need an escape (a quote becomes two characters): parts stay far below a line's limit. */
const PART_BYTES = 192 * 1024;
/** Room for the envelope around an inline body, whose depth counts from the event. */
const INLINE_DEPTH = MAX_JSON_DEPTH - 2;
/** Of a body over 16 MiB this much is kept. */
const HEAD_BYTES = PART_BYTES;
/** A snapshot of many tools must fit a line; what is over is left out, its hash still covers it. */
const MAX_FIELDS_CHARACTERS = 400 * 1024;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOrUndefined(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** True when the body can stand in the event as it is. */
export function fitsInline(body: DraftBody): boolean {
  const length = body.span.end - body.span.start;
  if (length > MAX_INLINE_BODY_BYTES) return false;
  const raw = body.bytes.subarray(body.span.start, body.span.end);
  if (raw.includes(0x0a) || inlineFault(body.bytes, body.span, INLINE_DEPTH) !== undefined) return false;
  const text = textOrUndefined(raw);
  if (text === undefined) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Largest index ≤ `end` that does not cut a UTF-8 sequence. */
function characterBoundary(bytes: Uint8Array, end: number): number {
  let at = end;
  while (at > 0 && at < bytes.length && ((bytes[at] ?? 0) & 0xc0) === 0x80 && end - at < 4) at--;
  return at;
}

function cutParts(raw: Uint8Array): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at < raw.length) {
    const end = characterBoundary(raw, Math.min(raw.length, at + PART_BYTES));
    parts.push(raw.subarray(at, end));
    at = end;
  }
  return parts;
}

/** Text of the part; base64 (said in `encoding`) where the bytes are no UTF-8. */
function partData(part: Uint8Array): { readonly data: string; readonly encoding?: 'base64' } {
  const text = textOrUndefined(part);
  return text === undefined
    ? { data: btoa(Array.from(part, (byte) => String.fromCodePoint(byte)).join('')), encoding: 'base64' }
    : { data: text };
}

function bodyParts(draft: EventDraft, body: DraftBody): readonly PreparedLine[] {
  const whole = body.bytes.subarray(body.span.start, body.span.end);
  const isOver = whole.length > MAX_BODY_BYTES;
  const raw = isOver ? whole.subarray(0, characterBoundary(whole, HEAD_BYTES)) : whole;
  const parts = cutParts(raw);
  const labels = [
    ...((draft.fields['labels'] as readonly string[] | undefined) ?? []),
    ...(isOver ? ['body_truncated'] : []),
  ];
  return parts.map((part, index) => ({
    kind: 'call.body',
    time: new Date(draft.timeMs).toISOString(),
    fields: JSON.stringify({
      ...callOnly(draft.fields),
      ...(index === 0 && draft.partsOnly === true && draft.fields['redaction'] !== undefined
        ? { redaction: draft.fields['redaction'] }
        : {}),
      ...(labels.length === 0 ? {} : { labels }),
      body: {
        of: body.of,
        part: index,
        parts: parts.length,
        totalBytes: whole.length,
        hash: body.hash,
        ...partData(part),
      },
    }),
    body: undefined,
  }));
}

const CALL_FIELDS = [
  'callId',
  'logicalCallId',
  'traceId',
  'spanId',
  'server',
  'transport',
  'tool',
  'method',
  'class',
];

function callOnly(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => CALL_FIELDS.includes(name)));
}

/** The lines of a draft in order: one, or one with its body's parts after it. */
export function prepareLines(draft: EventDraft): readonly PreparedLine[] {
  const { body } = draft;
  if (draft.partsOnly === true) return body === undefined ? [] : bodyParts(draft, body);
  const inline = body !== undefined && fitsInline(body);
  const first: PreparedLine = {
    kind: draft.kind,
    time: new Date(draft.timeMs).toISOString(),
    fields: fieldsText(draft, body, inline),
    body: inline ? inlineBody(body) : undefined,
  };
  return body === undefined || inline ? [first] : [first, ...bodyParts(draft, body)];
}

function fieldsText(draft: EventDraft, body: DraftBody | undefined, inline: boolean): string {
  const isOver = body !== undefined && !inline && body.span.end - body.span.start > MAX_BODY_BYTES;
  const labels = (draft.fields['labels'] as readonly string[] | undefined) ?? [];
  const fields = isOver ? { ...draft.fields, labels: [...labels, 'body_truncated'] } : draft.fields;
  const text = JSON.stringify(fields);
  return text.length <= MAX_FIELDS_CHARACTERS ? text : JSON.stringify(trimmedSnapshot(fields));
}

/** Only a registry snapshot can be that long: first the annotations go, then the tools at the end. */
function trimmedSnapshot(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const registry = fields['registry'] as
    | { readonly snapshotHash: string; readonly tools: readonly Readonly<Record<string, unknown>>[] }
    | undefined;
  if (registry === undefined) return callOnly(fields);
  const kept: unknown[] = [];
  let characters = 0;
  for (const tool of registry.tools) {
    const { annotations: _left, ...slim } = tool;
    characters += JSON.stringify(slim).length + 1;
    if (characters > MAX_FIELDS_CHARACTERS - 4096) break;
    kept.push(slim);
  }
  const labels = (fields['labels'] as readonly string[] | undefined) ?? [];
  return {
    ...fields,
    labels: [...labels, 'snapshot_trimmed'],
    registry: { snapshotHash: registry.snapshotHash, tools: kept },
  };
}

function inlineBody(body: DraftBody): Uint8Array {
  const head = encoder.encode(`,"${body.of}":`);
  const raw = body.bytes.subarray(body.span.start, body.span.end);
  const joined = new Uint8Array(head.length + raw.length);
  joined.set(head);
  joined.set(raw, head.length);
  return joined;
}

/** The line's bytes without a newline. */
export function placeLine(line: PreparedLine, identity: StreamIdentity, place: LinePlace): Uint8Array {
  const { stream, session, agent, principal, host } = identity;
  const who = JSON.stringify({
    v: 1,
    kind: line.kind,
    stream,
    seq: place.seq,
    nonce: place.nonce,
    time: line.time,
    session,
    agent,
    principal,
    host,
  });
  const fields = line.fields === '{}' ? '' : `,${line.fields.slice(1, -1)}`;
  const head = encoder.encode(who.slice(0, -1) + fields);
  const tail = line.body ?? new Uint8Array();
  const bytes = new Uint8Array(head.length + tail.length + 1);
  bytes.set(head);
  bytes.set(tail, head.length);
  bytes[bytes.length - 1] = 0x7d;
  return bytes;
}
