/**
 * The door, pure: the bytes of one request → records for the bus, duplicates, refusals. Nothing is parsed twice and no
 * line that brings a stream is changed by a byte.
 */
import { encodeEventRecord, partitionFor, type RecordMessage } from '../../schemas/bus/record.ts';
import { MAX_LINES_PER_RECORD, MAX_RECORD_BYTES } from '../../schemas/topics.ts';
import { TriplineError, type ErrorCode } from '../../schemas/errors.ts';
import { checkEventFields, parseJsonObject } from '../../schemas/event/read.ts';
import { MAX_LINE_BYTES, type Event } from '../../schemas/event/v1.ts';
import {
  fromHex,
  HASH_BYTES,
  STREAM_ID_BYTES,
  toHex,
  ZERO_HASH,
  ZERO_STREAM,
  type Sha256,
} from '../evidence/bytes.ts';
import { eventHash } from '../evidence/event-hash.ts';
import { cutBody, type BodyForm } from './cut.ts';
import { batchOf, type SignedBatch } from './signed-batches.ts';
import type { StreamMemories, StreamMemory } from './stream-memory.ts';

export interface IngestRequest {
  readonly tenant: string;
  readonly body: Uint8Array;
  readonly form: BodyForm;
  /** Unknown fields are refused. */
  readonly strict: boolean;
  /** Event hash before the first line of a body of one stream, 64 hex digits, as the producer says. */
  readonly prev?: string | undefined;
  /** Signed runs of the first line's stream. */
  readonly batches?: readonly SignedBatch[] | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly traceparent?: string | undefined;
}

export interface IngestTools {
  readonly memories: StreamMemories;
  readonly sha256: Sha256;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly partitionCount: number;
  /** Told of every event that is taken, before it is durable. */
  readonly onEvent?: (tenant: string, event: Event) => void;
}

export interface Rejection {
  /** Index of the element in the request. */
  readonly index: number;
  readonly code: ErrorCode;
  readonly path: string;
  readonly message: string;
  readonly raw: Uint8Array;
}

export interface OutgoingRecord {
  readonly partition: number;
  readonly message: RecordMessage;
  readonly stream: string;
  readonly firstSeq: number;
  /** One an event, in order: what a repeat is recognised by. */
  readonly fingerprints: readonly Uint8Array[];
}

export interface IngestOutcome {
  readonly records: readonly OutgoingRecord[];
  readonly accepted: number;
  readonly duplicates: number;
  readonly rejected: readonly Rejection[];
}

interface Line {
  readonly session: string;
  readonly stream: string;
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly event: Event;
}

interface Run {
  readonly session: string;
  readonly stream: string;
  readonly firstSeq: number;
  readonly prev: string | undefined;
  readonly batch: SignedBatch | undefined;
  readonly lines: Uint8Array[];
  readonly fingerprints: Uint8Array[];
  bytes: number;
}

/** Judges every element of the body and cuts records. Throws body_empty for a body without an element. */
export function ingest(request: IngestRequest, tools: IngestTools): IngestOutcome {
  const elements = cutBody(request.body, request.form);
  if (elements.length === 0) throw new TriplineError('body_empty');
  const rejected: Rejection[] = [];
  const lines: Line[] = [];
  const names = new StreamNames(request, tools);
  for (let index = 0; index < elements.length; index += 1) {
    const raw = elements[index] as Uint8Array;
    const read = readElement(raw, request.strict, names);
    if ('code' in read) rejected.push({ ...read, index, raw });
    else {
      lines.push(read);
      tools.onEvent?.(request.tenant, read.event);
    }
  }
  return { ...cutRecords(lines, request, tools), rejected };
}

type ReadElement = Line | Pick<Rejection, 'code' | 'path' | 'message'>;

function readElement(raw: Uint8Array, strict: boolean, names: StreamNames): ReadElement {
  const parsed = parseJsonObject(raw);
  if (parsed.kind === 'rejected') return parsed;
  const named = parsed.value['stream'] === undefined ? names.name(parsed.value) : undefined;
  if (named !== undefined && 'code' in named) return named;
  const value = named === undefined ? parsed.value : { ...parsed.value, ...named };
  const checked = checkEventFields(value, { strict });
  if (checked.kind === 'rejected') return checked;
  const { session, stream, seq } = checked.event;
  const bytes = named === undefined ? raw : splice(raw, named);
  if (bytes.length > MAX_LINE_BYTES)
    return { code: 'event_too_large', path: '', message: `longer than ${MAX_LINE_BYTES} bytes` };
  if (named !== undefined) names.used(session);
  return { session, stream, seq, bytes, event: checked.event };
}

interface StreamFields {
  readonly stream: string;
  readonly seq: number;
  readonly nonce: string;
}

/** Streams of a request whose lines bring none: one a session; deterministic under an Idempotency-Key. */
class StreamNames {
  readonly #request: IngestRequest;
  readonly #tools: IngestTools;
  readonly #bySession = new Map<string, { stream: string; nextSeq: number }>();

  constructor(request: IngestRequest, tools: IngestTools) {
    this.#request = request;
    this.#tools = tools;
  }

  name(
    value: Readonly<Record<string, unknown>>,
  ): StreamFields | Pick<Rejection, 'code' | 'path' | 'message'> {
    for (const field of ['seq', 'nonce'])
      if (value[field] !== undefined)
        return { code: 'event_forbidden_field', path: field, message: 'is sent only together with stream' };
    const { session } = value;
    const { stream, nextSeq } = this.#of(typeof session === 'string' ? session : '');
    return { stream, seq: nextSeq, nonce: this.#nonce(stream, nextSeq) };
  }

  used(session: string): void {
    this.#of(session).nextSeq += 1;
  }

  #of(session: string): { stream: string; nextSeq: number } {
    const known = this.#bySession.get(session);
    if (known !== undefined) return known;
    const made = { stream: toHex(this.#streamId(session)), nextSeq: 0 };
    this.#bySession.set(session, made);
    return made;
  }

  #streamId(session: string): Uint8Array {
    const { tenant, idempotencyKey } = this.#request;
    if (idempotencyKey === undefined) return this.#tools.randomBytes(16);
    return this.#tools.sha256(utf8(`${tenant}\0${session}\0${idempotencyKey}`)).subarray(0, 16);
  }

  /** Under an Idempotency-Key a repeat must be the same bytes. */
  #nonce(stream: string, seq: number): string {
    if (this.#request.idempotencyKey === undefined) return toHex(this.#tools.randomBytes(16));
    return toHex(this.#tools.sha256(utf8(`${stream}-${seq}`)).subarray(0, 16));
  }
}

/** The three fields in front of the line's own members; an element is trimmed, so its first byte opens the object. */
function splice(raw: Uint8Array, fields: StreamFields): Uint8Array {
  const head = utf8(`{"stream":"${fields.stream}","seq":${fields.seq},"nonce":"${fields.nonce}",`);
  const bytes = new Uint8Array(head.length + raw.length - 1);
  bytes.set(head);
  bytes.set(raw.subarray(1), head.length);
  return bytes;
}

function cutRecords(
  lines: readonly Line[],
  request: IngestRequest,
  tools: IngestTools,
): Omit<IngestOutcome, 'rejected'> {
  const runs: Run[] = [];
  const chain = new Chains(lines[0], request, tools);
  const chained = lines.map((line): ChainedLine => ({ line, ...chain.take(line) }));
  const known = chained.filter(({ durable }) => durable);
  const unfinished = new Set(chained.filter(({ durable }) => !durable).map(({ batch }) => batch));
  const duplicates = known.length;
  for (const { line, before, batch, fingerprint, durable } of chained) {
    // A signature covers a batch as a whole: what of it is durable goes along again, and record skips it.
    if (durable && (batch === undefined || !unfinished.has(batch))) continue;
    const run = runFor(runs, line, { before, batch });
    run.lines.push(line.bytes);
    run.fingerprints.push(fingerprint);
  }
  const records = runs.map((run) => recordOf(run, request, tools));
  return { records, duplicates, accepted: lines.length - duplicates };
}

interface ChainedLine extends Chained {
  readonly line: Line;
}

interface Chained {
  readonly batch: SignedBatch | undefined;
  /** The line is known to be on the bus. */
  readonly durable: boolean;
  /** Event hash before the line, undefined where the chain is not known. */
  readonly before: Uint8Array | undefined;
  /** Event hash of the line; of a line whose chain is not known its digest alone: enough to recognise a repeat. */
  readonly fingerprint: Uint8Array;
}

/** The chains of a request's streams, line by line; what belongs to the stream of the line before is at hand. */
class Chains {
  readonly #request: IngestRequest;
  readonly #tools: IngestTools;
  readonly #first: Line | undefined;
  readonly #said: Uint8Array | undefined;
  #stream = '';
  #streamId = ZERO_STREAM;
  #memory: StreamMemory | undefined;

  constructor(first: Line | undefined, request: IngestRequest, tools: IngestTools) {
    this.#first = first;
    this.#request = request;
    this.#tools = tools;
    this.#said = request.prev === undefined ? undefined : fromHex(request.prev, HASH_BYTES);
  }

  take(line: Line): Chained {
    const memory = this.#of(line.stream);
    const before = this.#before(line, memory);
    const fingerprint = this.#fingerprint(line, memory, before);
    const durable = memory.isDurable(line.seq, fingerprint);
    return { before, fingerprint, durable, batch: this.#batch(line) };
  }

  #batch(line: Line): SignedBatch | undefined {
    const { batches } = this.#request;
    if (batches === undefined || line.stream !== this.#first?.stream) return undefined;
    return batchOf(batches, line.seq);
  }

  #fingerprint(line: Line, memory: StreamMemory, before: Uint8Array | undefined): Uint8Array {
    const { sha256 } = this.#tools;
    if (before === undefined) return sha256(line.bytes);
    const input = { stream: this.#streamId, seq: line.seq, prev: before, line: line.bytes };
    const fingerprint = eventHash(input, sha256);
    memory.advance(line.seq, fingerprint);
    return fingerprint;
  }

  #of(stream: string): StreamMemory {
    if (this.#memory !== undefined && this.#stream === stream) return this.#memory;
    this.#stream = stream;
    this.#streamId = fromHex(stream, STREAM_ID_BYTES) ?? ZERO_STREAM;
    this.#memory = this.#tools.memories.of(this.#request.tenant, stream);
    return this.#memory;
  }

  /** Zeros at 0, what the producer said of its first line, or where the chain is known to stand. */
  #before(line: Line, memory: StreamMemory): Uint8Array | undefined {
    if (line.seq === 0) return ZERO_HASH;
    const first = this.#first;
    const said = first?.stream === line.stream && first.seq === line.seq ? this.#said : undefined;
    return said ?? memory.hashBefore(line.seq);
  }
}

/** The run that takes the line: the last one, where the line continues it and there is room; else a new one. */
function runFor(runs: Run[], line: Line, { before, batch }: Pick<Chained, 'before' | 'batch'>): Run {
  const last = runs.at(-1);
  if (last !== undefined && last.batch === batch && continues(last, line)) {
    last.bytes += line.bytes.length + 1;
    return last;
  }
  const { session, stream, seq } = line;
  const prev = before === undefined ? undefined : toHex(before);
  const bytes = line.bytes.length;
  const run: Run = { session, stream, firstSeq: seq, prev, batch, lines: [], fingerprints: [], bytes };
  runs.push(run);
  return run;
}

function continues(run: Run, line: Line): boolean {
  return (
    run.stream === line.stream &&
    run.session === line.session &&
    run.firstSeq + run.lines.length === line.seq &&
    run.lines.length < MAX_LINES_PER_RECORD &&
    run.bytes + 1 + line.bytes.length <= MAX_RECORD_BYTES
  );
}

function recordOf(run: Run, request: IngestRequest, tools: IngestTools): OutgoingRecord {
  const { session, stream, firstSeq, prev, batch, lines, fingerprints } = run;
  const { tenant, traceparent } = request;
  const isWhole = batch?.firstSeq === firstSeq && batch.lastSeq === firstSeq + lines.length - 1;
  const batchSignature = isWhole ? batch.signature : undefined;
  const place = { tenant, session, stream, firstSeq, prev, traceparent };
  const message = encodeEventRecord({ ...place, batchSignature, lines });
  const partition = partitionFor(message.key ?? ZERO_HASH, tools.partitionCount);
  return { partition, message, stream, firstSeq, fingerprints };
}

const ENCODER = new TextEncoder();
const utf8 = (text: string): Uint8Array => ENCODER.encode(text);
