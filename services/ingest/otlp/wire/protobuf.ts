/**
 * OTLP in protobuf, read with protobufjs's wire reader and field numbers of opentelemetry-proto 1.x (trace/v1, logs/v1,
 * common/v1, resource/v1). We walk the messages ourselves, and so count while we read: a decoder that is generated makes
 * an object of every two bytes that say "an empty span" before anybody can count them. Unknown fields are skipped.
 */
import protobuf from 'protobufjs/minimal.js';
import { TriplineError } from '../../../../schemas/errors.ts';
import {
  idOf,
  MAX_VALUE_DEPTH,
  NO_ATTRIBUTES,
  type Attributes,
  type AttributeValue,
  type Decoded,
  type DecodeLimits,
  type OtlpLog,
  type OtlpSpan,
  type RefusedItem,
} from '../model.ts';
import { Budget, ItemFault } from './budget.ts';

type Reader = protobuf.Reader;
/** Reads the value of a field; false: not known here, skip it. */
type ReadField = (field: number, wireType: number, reader: Reader) => boolean;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;

/** Throws body_malformed, body_too_large. */
export function readProtobufSpans(body: Uint8Array, limits: DecodeLimits): Decoded<OtlpSpan> {
  return readItems(body, limits, readSpan);
}

/** Throws body_malformed, body_too_large. */
export function readProtobufLogs(body: Uint8Array, limits: DecodeLimits): Decoded<OtlpLog> {
  return readItems(body, limits, readLog);
}

interface Origin {
  readonly resource: Attributes;
  readonly scope: string;
}

type ReadItem<Item> = (bytes: Uint8Array, origin: Origin, budget: Budget) => Item;

/**
 * Requests of traces and logs have the same skeleton: 1 groups {1 resource, 2 scopes {1 scope {1 name}, 2 items}}. A
 * resource may stand behind its scopes, so each level keeps its children's bytes until it has been read.
 */
function readItems<Item>(body: Uint8Array, limits: DecodeLimits, read: ReadItem<Item>): Decoded<Item> {
  const budget = new Budget(limits);
  const items: Item[] = [];
  const refused: RefusedItem[] = [];
  const take = (raw: Uint8Array, origin: Origin): void => {
    const index = budget.item();
    try {
      items.push(read(raw, origin, budget));
    } catch (fault) {
      if (!(fault instanceof ItemFault)) throw fault;
      refused.push({ index, reason: fault.message, raw });
    }
  };
  try {
    for (const group of parted(body, budget).firsts) {
      const { head, children } = parted(group, budget);
      const resource = resourceOf(head, budget);
      for (const scoped of children) {
        const parts = parted(scoped, budget);
        const scope = scopeName(parts.head);
        for (const raw of parts.children) take(raw, { resource, scope });
      }
    }
  } catch (cause) {
    if (cause instanceof TriplineError) throw cause;
    throw new TriplineError('body_malformed', 'not a valid protobuf message of OTLP', { cause });
  }
  return { items, refused };
}

interface Parts {
  readonly firsts: readonly Uint8Array[];
  readonly head: Uint8Array;
  readonly children: readonly Uint8Array[];
}

/** The fields 1 (the last of which is the head, where there is one only) and 2 of a message. */
function parted(bytes: Uint8Array, budget: Budget): Parts {
  const firsts: Uint8Array[] = [];
  const seconds: Uint8Array[] = [];
  walk(bytes, (field, wireType, reader) => {
    if (wireType !== LENGTH || (field !== 1 && field !== 2)) return false;
    budget.value();
    (field === 1 ? firsts : seconds).push(reader.bytes());
    return true;
  });
  return { firsts, head: firsts.at(-1) ?? NOTHING, children: seconds };
}

const NOTHING = new Uint8Array(0);

function walk(bytes: Uint8Array, read: ReadField): void {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = tag >>> 3;
    const wireType = tag & 7;
    if (field === 0) throw new Error('field number 0');
    if (!read(field, wireType, reader)) reader.skipType(wireType);
  }
}

function resourceOf(bytes: Uint8Array, budget: Budget): Attributes {
  const attributes = new Map<string, AttributeValue>();
  try {
    walk(bytes, (field, wireType, reader) => {
      if (field !== 1 || wireType !== LENGTH) return false;
      readKeyValue(reader.bytes(), attributes, { budget, depth: 0 });
      return true;
    });
  } catch (fault) {
    if (fault instanceof ItemFault) return NO_ATTRIBUTES;
    throw fault;
  }
  return attributes;
}

function scopeName(bytes: Uint8Array): string {
  let name = '';
  walk(bytes, (field, wireType, reader) => {
    if (field !== 1 || wireType !== LENGTH) return false;
    name = reader.string();
    return true;
  });
  return name;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

function readSpan(bytes: Uint8Array, origin: Origin, budget: Budget): OtlpSpan {
  const attributes = new Map<string, AttributeValue>();
  const span: Mutable<OtlpSpan> = {
    ...origin,
    traceId: '',
    spanId: '',
    parentSpanId: undefined,
    name: '',
    startNs: 0n,
    endNs: 0n,
    attributes,
    failed: false,
    statusMessage: '',
    exceptionMessage: '',
  };
  walk(bytes, (field, wireType, reader) => {
    if (wireType === FIXED64) return readSpanTime(span, field, reader);
    if (wireType !== LENGTH) return false;
    if (field === 9) readKeyValue(reader.bytes(), attributes, { budget, depth: 0 });
    else if (field === 11)
      span.exceptionMessage = readException(reader.bytes(), budget) ?? span.exceptionMessage;
    else return readSpanBytes(span, field, reader);
    return true;
  });
  if (span.traceId === '') throw new ItemFault('traceId: 32 hex digits, not all zeros');
  if (span.spanId === '') throw new ItemFault('spanId: 16 hex digits, not all zeros');
  return span;
}

function readSpanTime(span: Mutable<OtlpSpan>, field: number, reader: Reader): boolean {
  if (field === 7) span.startNs = fixed64(reader);
  else if (field === 8) span.endNs = fixed64(reader);
  else return false;
  return true;
}

function readSpanBytes(span: Mutable<OtlpSpan>, field: number, reader: Reader): boolean {
  switch (field) {
    case 1:
      span.traceId = idOf(hexOf(reader.bytes()), 32) ?? '';
      return true;
    case 2:
      span.spanId = idOf(hexOf(reader.bytes()), 16) ?? '';
      return true;
    case 4:
      span.parentSpanId = idOf(hexOf(reader.bytes()), 16);
      return true;
    case 5:
      span.name = reader.string();
      return true;
    case 15:
      readStatus(reader.bytes(), span);
      return true;
    default:
      return false;
  }
}

const STATUS_ERROR = 2;

function readStatus(bytes: Uint8Array, span: Mutable<OtlpSpan>): void {
  walk(bytes, (field, wireType, reader) => {
    if (field === 2 && wireType === LENGTH) span.statusMessage = reader.string();
    else if (field === 3 && wireType === VARINT) span.failed = reader.int32() === STATUS_ERROR;
    else return false;
    return true;
  });
}

/** `exception.message` of a span event; undefined where the event is another. */
function readException(bytes: Uint8Array, budget: Budget): string | undefined {
  const attributes = new Map<string, AttributeValue>();
  let name = '';
  budget.value();
  walk(bytes, (field, wireType, reader) => {
    if (wireType !== LENGTH || (field !== 2 && field !== 3)) return false;
    if (field === 2) name = reader.string();
    else readKeyValue(reader.bytes(), attributes, { budget, depth: 0 });
    return true;
  });
  const message = attributes.get('exception.message');
  return name === 'exception' && typeof message === 'string' ? message : undefined;
}

function readLog(bytes: Uint8Array, origin: Origin, budget: Budget): OtlpLog {
  const attributes = new Map<string, AttributeValue>();
  const log: Mutable<OtlpLog> = {
    ...origin,
    timeNs: 0n,
    traceId: undefined,
    spanId: undefined,
    eventName: '',
    body: null,
    attributes,
  };
  let observedNs = 0n;
  walk(bytes, (field, wireType, reader) => {
    if (wireType === FIXED64 && field === 1) log.timeNs = fixed64(reader);
    else if (wireType === FIXED64 && field === 11) observedNs = fixed64(reader);
    else if (wireType !== LENGTH) return false;
    else if (field === 6) readKeyValue(reader.bytes(), attributes, { budget, depth: 0 });
    else if (field === 5) log.body = readValue(reader.bytes(), { budget, depth: 0 });
    else return readLogBytes(log, field, reader);
    return true;
  });
  if (log.timeNs === 0n) log.timeNs = observedNs;
  return log;
}

function readLogBytes(log: Mutable<OtlpLog>, field: number, reader: Reader): boolean {
  if (field === 9) log.traceId = idOf(hexOf(reader.bytes()), 32);
  else if (field === 10) log.spanId = idOf(hexOf(reader.bytes()), 16);
  else if (field === 12) log.eventName = reader.string();
  else return false;
  return true;
}

interface Within {
  readonly budget: Budget;
  readonly depth: number;
}

function readKeyValue(bytes: Uint8Array, into: Map<string, AttributeValue>, within: Within): void {
  let key: string | undefined;
  let value: AttributeValue = null;
  within.budget.value();
  walk(bytes, (field, wireType, reader) => {
    if (wireType !== LENGTH || (field !== 1 && field !== 2)) return false;
    if (field === 1) key = reader.string();
    else value = readValue(reader.bytes(), within);
    return true;
  });
  into.set(key ?? '', value);
}

/** An AnyValue; null for one that is empty or of a kind that came later. */
function readValue(bytes: Uint8Array, within: Within): AttributeValue {
  within.budget.value();
  if (within.depth > MAX_VALUE_DEPTH)
    throw new ItemFault(`an attribute nests deeper than ${MAX_VALUE_DEPTH}`);
  let value: AttributeValue = null;
  walk(bytes, (field, wireType, reader) => {
    const read =
      wireType === LENGTH ? readNested(field, reader, within) : readScalar(field, wireType, reader);
    if (read === undefined) return false;
    value = read;
    return true;
  });
  return value;
}

function readScalar(field: number, wireType: number, reader: Reader): AttributeValue | undefined {
  if (field === 2 && wireType === VARINT) return reader.bool();
  if (field === 3 && wireType === VARINT) return integerOf(reader);
  if (field !== 4 || wireType !== FIXED64) return undefined;
  const double = reader.double();
  return Number.isFinite(double) ? double : String(double);
}

function readNested(field: number, reader: Reader, within: Within): AttributeValue | undefined {
  const deeper = { budget: within.budget, depth: within.depth + 1 };
  switch (field) {
    case 1:
      return reader.string();
    case 5: {
      const values: AttributeValue[] = [];
      each(reader.bytes(), (element) => values.push(readValue(element, deeper)));
      return values;
    }
    case 6: {
      const members = new Map<string, AttributeValue>();
      each(reader.bytes(), (element) => readKeyValue(element, members, deeper));
      return Object.fromEntries(members);
    }
    case 7:
      return Buffer.from(reader.bytes()).toString('base64');
    default:
      return undefined;
  }
}

/** The elements of a list message, its repeated field 1. */
function each(bytes: Uint8Array, read: (element: Uint8Array) => void): void {
  walk(bytes, (field, wireType, reader) => {
    if (field !== 1 || wireType !== LENGTH) return false;
    read(reader.bytes());
    return true;
  });
}

function integerOf(reader: Reader): AttributeValue {
  const { low, high } = reader.int64();
  const value = (BigInt(high) << 32n) | BigInt(low >>> 0);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function fixed64(reader: Reader): bigint {
  const low = BigInt(reader.fixed32());
  return (BigInt(reader.fixed32()) << 32n) | low;
}

const hexOf = (bytes: Uint8Array): string => (bytes.length > 16 ? '' : Buffer.from(bytes).toString('hex'));
