/** Fields of an event line by number, so that a pass over its bytes needs no names: their forms, and how their names are found. */
import { hashOf } from './json-bytes.ts';
import { REQUIRED_BY_KIND } from './v1.ts';
import { FIELD_CHECKS, REQUIRED_FIELDS } from './validate.ts';

/** Numbers of the fields, in the order of the schema. */
export const FIELD_NAMES: readonly string[] = [...FIELD_CHECKS.keys()];
export const numberOfField = (name: string): number => FIELD_NAMES.indexOf(name);

export type Form = 'any' | 'one' | 'name' | 'hex' | 'choice' | 'count' | 'duration' | 'time' | 'checked';
const HEX_DIGITS: Readonly<Record<string, number>> = {
  stream: 32,
  nonce: 32,
  traceId: 32,
  spanId: 16,
  parentSpanId: 16,
  definitionHash: 64,
  argsHash: 64,
  resultHash: 64,
};
const FORMS: Readonly<Record<string, Form>> = {
  v: 'one',
  args: 'any',
  result: 'any',
  ...Object.fromEntries(
    ['session', 'agent', 'principal', 'host', 'callId', 'logicalCallId', 'decisionId', 'server', 'tool'].map(
      (name) => [name, 'name'] as const,
    ),
  ),
  ...Object.fromEntries(Object.keys(HEX_DIGITS).map((name) => [name, 'hex'] as const)),
  kind: 'choice',
  transport: 'choice',
  class: 'choice',
  outcome: 'choice',
  seq: 'count',
  argsBytes: 'count',
  resultBytes: 'count',
  durationMs: 'duration',
  time: 'time',
};
export const FORM_OF: readonly Form[] = FIELD_NAMES.map((name) => FORMS[name] ?? 'checked');
export const DIGITS_OF: readonly number[] = FIELD_NAMES.map((name) => HEX_DIGITS[name] ?? 0);
export const CHECK_OF = FIELD_NAMES.map((name) => FIELD_CHECKS.get(name) as (value: unknown) => unknown);

export const KIND = numberOfField('kind');
export const REQUIRED: readonly number[] = REQUIRED_FIELDS.map(numberOfField);
export const REQUIRED_OF: ReadonlyMap<string, readonly number[]> = new Map(
  Object.entries(REQUIRED_BY_KIND).map(([kind, names]) => [kind, names.map(numberOfField)]),
);

const ENCODER = new TextEncoder();
export const FIELD_BYTES = FIELD_NAMES.map((name) => ENCODER.encode(name));
const FIELD_SLOTS = 1_024;
/** Number of a field plus one, by hash of its name; names of the schema that met would have to be told apart by more. */
const FIELD_TABLE = new Uint8Array(FIELD_SLOTS);
const slotOf = (hash: number): number => (hash ^ (hash >>> 15)) & (FIELD_SLOTS - 1);
FIELD_BYTES.forEach((bytes, number) => {
  let slot = slotOf(hashOf(bytes, 0, bytes.length));
  while (FIELD_TABLE[slot] !== 0) slot = (slot + 1) & (FIELD_SLOTS - 1);
  FIELD_TABLE[slot] = number + 1;
});

/** Number of the field of this name, -1 where there is none. */
export function fieldAt(bytes: Uint8Array, from: number, end: number): number {
  for (let slot = slotOf(hashOf(bytes, from, end)); ; slot = (slot + 1) & (FIELD_SLOTS - 1)) {
    const number = (FIELD_TABLE[slot] as number) - 1;
    if (number < 0) return -1;
    const name = FIELD_BYTES[number] as Uint8Array;
    if (name.length === end - from && startsAt(bytes, from, name)) return number;
  }
}

export function startsAt(bytes: Uint8Array, from: number, name: Uint8Array): boolean {
  for (let index = 0; index < name.length; index++) if (bytes[from + index] !== name[index]) return false;
  return true;
}
