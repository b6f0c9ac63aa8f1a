/**
 * OTLP/JSON: ids are hex (not base64), 64-bit integers numbers or decimal text, enums numbers or names, and every field
 * may be absent. https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
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

type Json = Readonly<Record<string, unknown>>;

/** Braces, brackets and commas of a body: what JSON.parse makes objects and slots of. */
const MAX_MARKS = 1_500_000;
const MAX_DEPTH = 64;
const DECODER = new TextDecoder('utf-8', { fatal: true });

/** Throws body_malformed, body_too_large. */
export function readJsonSpans(body: Uint8Array, limits: DecodeLimits): Decoded<OtlpSpan> {
  return readItems(body, limits, {
    groups: 'resourceSpans',
    scopes: 'scopeSpans',
    items: 'spans',
    read: spanOf,
  });
}

/** Throws body_malformed, body_too_large. */
export function readJsonLogs(body: Uint8Array, limits: DecodeLimits): Decoded<OtlpLog> {
  return readItems(body, limits, {
    groups: 'resourceLogs',
    scopes: 'scopeLogs',
    items: 'logRecords',
    read: logOf,
  });
}

interface Origin {
  readonly resource: Attributes;
  readonly scope: string;
}

interface Shape<Item> {
  readonly groups: string;
  readonly scopes: string;
  readonly items: string;
  readonly read: (item: Json, origin: Origin, budget: Budget) => Item;
}

function readItems<Item>(body: Uint8Array, limits: DecodeLimits, shape: Shape<Item>): Decoded<Item> {
  const root = parse(body);
  const budget = new Budget(limits);
  const items: Item[] = [];
  const refused: RefusedItem[] = [];
  for (const group of listOf(root, shape.groups)) {
    budget.value();
    const resource = resourceOf(group, budget);
    for (const scoped of listOf(group, shape.scopes)) {
      budget.value();
      const origin = { resource, scope: textOf(objectOf(scoped['scope'])['name']) };
      for (const item of listOf(scoped, shape.items)) {
        const index = budget.item();
        try {
          items.push(shape.read(item, origin, budget));
        } catch (fault) {
          if (!(fault instanceof ItemFault)) throw fault;
          refused.push({ index, reason: fault.message, raw: Buffer.from(JSON.stringify(item)) });
        }
      }
    }
  }
  return { items, refused };
}

/** A resource that cannot be read is none: its spans are still calls. */
function resourceOf(group: Json, budget: Budget): Attributes {
  try {
    return attributesOf(objectOf(group['resource'])['attributes'], budget);
  } catch (fault) {
    if (fault instanceof ItemFault) return NO_ATTRIBUTES;
    throw fault;
  }
}

function parse(body: Uint8Array): Json {
  const marks = countMarks(body);
  if (marks.depth > MAX_DEPTH) throw new TriplineError('body_malformed', `nests deeper than ${MAX_DEPTH}`);
  if (marks.count > MAX_MARKS) throw new TriplineError('body_too_large', 'too many members');
  let value: unknown;
  try {
    value = JSON.parse(DECODER.decode(body));
  } catch (cause) {
    throw new TriplineError('body_malformed', 'not valid JSON in UTF-8', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TriplineError('body_malformed', 'must be one JSON object');
  return value as Json;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/** Before parsing, so that a small body cannot become millions of objects. Any bytes give some count. */
function countMarks(body: Uint8Array): { readonly count: number; readonly depth: number } {
  let count = 0;
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (byte === QUOTE) at = endOfString(body, at);
    else if (byte === 0x7b || byte === 0x5b) {
      count += 1;
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
    else if (byte === COMMA) count += 1;
  }
  return { count, depth: deepest };
}

function endOfString(body: Uint8Array, open: number): number {
  for (let at = open + 1; at < body.length; at += 1) {
    if (body[at] === BACKSLASH) at += 1;
    else if (body[at] === QUOTE) return at;
  }
  return body.length;
}

function spanOf(item: Json, origin: Origin, budget: Budget): OtlpSpan {
  const status = objectOf(item['status']);
  const code = status['code'];
  return {
    ...origin,
    traceId: requiredId(item, 'traceId', 32),
    spanId: requiredId(item, 'spanId', 16),
    parentSpanId: idOf(textOf(item['parentSpanId']), 16),
    name: textOf(item['name']),
    startNs: nanosOf(item['startTimeUnixNano']),
    endNs: nanosOf(item['endTimeUnixNano']),
    attributes: attributesOf(item['attributes'], budget),
    failed: code === 2 || code === 'STATUS_CODE_ERROR',
    statusMessage: textOf(status['message']),
    exceptionMessage: exceptionOf(item['events'], budget),
  };
}

function logOf(item: Json, origin: Origin, budget: Budget): OtlpLog {
  const timeNs = nanosOf(item['timeUnixNano']);
  return {
    ...origin,
    timeNs: timeNs === 0n ? nanosOf(item['observedTimeUnixNano']) : timeNs,
    traceId: idOf(textOf(item['traceId']), 32),
    spanId: idOf(textOf(item['spanId']), 16),
    eventName: textOf(item['eventName']),
    body: valueOf(item['body'], budget, 0),
    attributes: attributesOf(item['attributes'], budget),
  };
}

function requiredId(item: Json, name: string, digits: 16 | 32): string {
  const id = idOf(textOf(item[name]), digits);
  if (id === undefined) throw new ItemFault(`${name}: ${digits} hex digits, not all zeros`);
  return id;
}

function exceptionOf(events: unknown, budget: Budget): string {
  let message = '';
  for (const event of elementsOf(events)) {
    budget.value();
    if (event['name'] !== 'exception') continue;
    const said = attributesOf(event['attributes'], budget).get('exception.message');
    if (typeof said === 'string') message = said;
  }
  return message;
}

function attributesOf(list: unknown, budget: Budget, depth = 0): Attributes {
  const attributes = new Map<string, AttributeValue>();
  for (const entry of elementsOf(list)) {
    const { key } = entry;
    const value = valueOf(entry['value'], budget, depth);
    if (typeof key === 'string') attributes.set(key, value);
  }
  return attributes;
}

/** An AnyValue; null for one that is empty or of a kind that came later. */
function valueOf(value: unknown, budget: Budget, depth: number): AttributeValue {
  budget.value();
  if (depth > MAX_VALUE_DEPTH) throw new ItemFault(`an attribute nests deeper than ${MAX_VALUE_DEPTH}`);
  const any = objectOf(value);
  const { stringValue, boolValue, bytesValue, arrayValue, kvlistValue } = any;
  if (typeof stringValue === 'string') return stringValue;
  if (typeof boolValue === 'boolean') return boolValue;
  if (any['intValue'] !== undefined) return integerOf(any['intValue']);
  if (any['doubleValue'] !== undefined) return doubleOf(any['doubleValue']);
  if (typeof bytesValue === 'string') return bytesValue;
  if (arrayValue !== undefined)
    return elementsOf(objectOf(arrayValue)['values']).map((item) => valueOf(item, budget, depth + 1));
  if (kvlistValue === undefined) return null;
  return Object.fromEntries(attributesOf(objectOf(kvlistValue)['values'], budget, depth + 1));
}

const INTEGER = /^-?\d{1,19}$/;

/** The spec has text, the JavaScript exporters send numbers. Text is kept where a number would not be exact. */
function integerOf(value: unknown): AttributeValue {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || !INTEGER.test(value)) return null;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** NaN and infinities are text in protobuf's JSON, and no JSON of ours. */
function doubleOf(value: unknown): AttributeValue {
  return typeof value === 'number' || typeof value === 'string' ? value : null;
}

const NANOS = /^\d{1,20}$/;
const MAX_NANOS = 2n ** 64n - 1n;

function nanosOf(value: unknown): bigint {
  if (typeof value === 'string' && NANOS.test(value)) {
    const nanos = BigInt(value);
    return nanos > MAX_NANOS ? 0n : nanos;
  }

  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : 0n;
}

function listOf(value: Json, name: string): readonly Json[] {
  const list = value[name];
  if (list !== undefined && list !== null && !Array.isArray(list))
    throw new TriplineError('body_malformed', `${name}: must be an array`, { path: name });
  return elementsOf(list);
}

const EMPTY: Json = Object.freeze({});

function elementsOf(list: unknown): readonly Json[] {
  return Array.isArray(list) ? list.map((item) => objectOf(item)) : [];
}

const objectOf = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : EMPTY;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
