/**
 * Reading one event line from bytes: the same function at the door (ingest), in `record` and in `detect`, so that all
 * judge a line alike. Whoever sends events controls every byte; time and memory are linear in the line's length.
 */
import type { ErrorCode } from '../errors.ts';
import { countNames, scanJson } from './scan.ts';
import { FORBIDDEN_FIELDS, MAX_JSON_DEPTH, MAX_LINE_BYTES, REQUIRED_BY_KIND, type Event } from './v1.ts';
import { areUsualFields, FIELD_CHECKS, REQUIRED_FIELDS } from './validate.ts';

export type ReadOutcome =
  | { readonly kind: 'event'; readonly event: Event; readonly unknownFields: readonly string[] }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly path: string; readonly message: string };

export interface ReadOptions {
  /** Refuse unknown fields instead of listing them. */
  readonly strict?: boolean;
}

type Rejected = Extract<ReadOutcome, { kind: 'rejected' }>;

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const FORBIDDEN: ReadonlySet<string> = new Set(FORBIDDEN_FIELDS);
const NONE: readonly string[] = Object.freeze([]);

const rejected = (code: ErrorCode, path: string, message: string): Rejected => ({
  kind: 'rejected',
  code,
  path,
  message,
});

/** One line without its newline → the event, or why it is none (code, field path, message). Never throws. */
export function readEventLine(line: string | Uint8Array, options: ReadOptions = {}): ReadOutcome {
  const parsed = parseJsonObject(line);
  return parsed.kind === 'object' ? checkEventFields(parsed.value, options) : parsed;
}

export type ParseOutcome =
  { readonly kind: 'object'; readonly value: Readonly<Record<string, unknown>> } | Rejected;

/** The checks that hold for every line, whatever its kind: size, UTF-8, depth, JSON, one object, no repeated name. */
export function parseJsonObject(line: string | Uint8Array): ParseOutcome {
  if (line.length > MAX_LINE_BYTES)
    return rejected('event_too_large', '', `longer than ${MAX_LINE_BYTES} bytes`);
  let value: unknown;
  let names: number;
  try {
    const text = typeof line === 'string' ? line : DECODER.decode(line);
    const shape = scanJson(text, MAX_JSON_DEPTH);
    if (shape.depth > MAX_JSON_DEPTH)
      return rejected('event_too_deep', '', `nests deeper than ${MAX_JSON_DEPTH} levels`);
    names = shape.names;
    value = JSON.parse(text);
  } catch {
    return rejected('event_malformed_json', '', 'not valid JSON in UTF-8');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return rejected('event_not_object', '', 'must be one JSON object');
  if (countNames(value) !== names) return rejected('event_duplicate_key', '', 'an object names a key twice');
  return { kind: 'object', value: value as Readonly<Record<string, unknown>> };
}

/** The checks of an event's own fields, for a line that was parsed already. */
export function checkEventFields(
  value: Readonly<Record<string, unknown>>,
  options: ReadOptions = {},
): ReadOutcome {
  const fields = areUsualFields(value) ? USUAL : checkEachField(value, options);
  if (fields.kind === 'rejected') return fields;
  const missing = missingField(value);
  if (missing !== undefined) return rejected('event_invalid', missing, 'is required');
  return { kind: 'event', event: value as Event, unknownFields: fields.unknown };
}

interface FineFields {
  readonly kind: 'fine';
  readonly unknown: readonly string[];
}
const USUAL: FineFields = Object.freeze({ kind: 'fine', unknown: NONE });

/** The first fault, or the names of the unknown fields. */
function checkEachField(
  value: Readonly<Record<string, unknown>>,
  options: ReadOptions,
): Rejected | FineFields {
  let unknown: string[] | undefined;
  for (const key of Object.keys(value)) {
    const check = FIELD_CHECKS.get(key);
    if (check === undefined) {
      if (FORBIDDEN.has(key))
        return rejected('event_forbidden_field', key, 'only the service sets this field');
      if (options.strict === true) return rejected('event_unknown_field', key, 'unknown field');
      (unknown ??= []).push(key);
      continue;
    }
    const fault = check(value[key]);
    if (fault !== undefined) return rejected('event_invalid', key + fault.path, fault.message);
  }
  return unknown === undefined ? USUAL : { kind: 'fine', unknown };
}

function missingField(value: Readonly<Record<string, unknown>>): string | undefined {
  for (const field of REQUIRED_FIELDS) if (value[field] === undefined) return field;
  const { kind } = value as Pick<Event, 'kind'>;
  return REQUIRED_BY_KIND[kind].find((field) => value[field] === undefined);
}
