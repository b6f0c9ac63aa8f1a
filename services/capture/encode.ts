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
  /** Bytes that stand in the line as they came, or nothing. */
  readonly body: InlineBody | undefined;
}

interface InlineBody {
  readonly of: DraftBody['of'];
  readonly raw: Uint8Array;
}

/** As text each byte of JSON may need an escape (a quote becomes two characters): parts stay far below a line's limit. */
const PART_BYTES = 192 * 1024;
/** Room for the envelope around an inline body, whose depth counts from the event. */
const INLINE_DEPTH = MAX_JSON_DEPTH - 2;
/** Of a body over 16 MiB this much is kept. */
const HEAD_BYTES = PART_BYTES;
/** A snapshot of many tools must fit a line; what is over is left out, its hash still covers it. */
const MAX_FIELDS_CHARACTERS = 400 * 1024;

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
    time: isoTime(draft.timeMs),
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
    time: isoTime(draft.timeMs),
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

function inlineBody({ of, bytes, span }: DraftBody): InlineBody {
  return { of, raw: bytes.subarray(span.start, span.end) };
}

let lastMs = Number.NaN;
let lastTime = '';

/** RFC 3339. Events of one line have one time, and so have most of a burst. */
function isoTime(timeMs: number): string {
  if (timeMs === lastMs) return lastTime;
  lastMs = timeMs;
  lastTime = new Date(timeMs).toISOString();
  return lastTime;
}

/** What is the same in all lines of a stream, as text: with `seq` and `time` between. */
interface IdentityText {
  readonly stream: string;
  readonly who: string;
}

const identityTexts = new WeakMap<StreamIdentity, IdentityText>();

function identityText(identity: StreamIdentity): IdentityText {
  const known = identityTexts.get(identity);
  if (known !== undefined) return known;
  const { stream, session, agent, principal, host } = identity;
  const who = JSON.stringify({ session, agent, principal, host }).slice(1, -1);
  const text = { stream: JSON.stringify(stream), who };
  identityTexts.set(identity, text);
  return text;
}

/** The line without its body and its closing brace. */
function headText(line: PreparedLine, identity: StreamIdentity, { seq, nonce }: LinePlace): string {
  const { stream, who } = identityText(identity);
  const fields = line.fields === '{}' ? '' : `,${line.fields.slice(1, -1)}`;
  const head = `{"v":1,"kind":"${line.kind}","stream":${stream},"seq":${seq},"nonce":"${nonce}","time":"${line.time}",${who}${fields}`;
  return line.body === undefined ? head : `${head},"${line.body.of}":`;
}

/** UTF-8 needs at most so many bytes for a character of a string. */
const MAX_BYTES_PER_CHARACTER = 3;
const FIRST_BYTES = 16 * 1024;
/** A longer buffer is given back once its lines are written. */
const MAX_KEPT_BYTES = 1024 * 1024;
const CLOSE_OBJECT = 0x7d;
const NEWLINE = 0x0a;

/** Writes lines one behind the other, each with its newline, into one buffer that is used again and again. */
export class LineWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #end = 0;

  /** Empty again. Bytes that were answered before are no longer valid. */
  clear(): void {
    this.#end = 0;
    if (this.#buffer.length > MAX_KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }

  /** Writes one line; answers its bytes without the newline, valid until the next one is added. */
  add(line: PreparedLine, identity: StreamIdentity, place: LinePlace): Uint8Array {
    const head = headText(line, identity, place);
    const raw = line.body?.raw;
    this.#reserve(head.length * MAX_BYTES_PER_CHARACTER + (raw?.length ?? 0) + 2);
    const start = this.#end;
    let at = start + this.#buffer.write(head, start);
    if (raw !== undefined) {
      this.#buffer.set(raw, at);
      at += raw.length;
    }
    this.#buffer[at] = CLOSE_OBJECT;
    this.#buffer[at + 1] = NEWLINE;
    this.#end = at + 2;
    return this.#buffer.subarray(start, at + 1);
  }

  /** All lines, valid until the next one is added. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#end);
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#end + bytes, this.#buffer.length * 2));
    larger.set(this.bytes);
    this.#buffer = larger;
  }
}
