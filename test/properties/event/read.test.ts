import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EVENT_KINDS,
  FORBIDDEN_FIELDS,
  MAX_LINE_BYTES,
  REQUIRED_BY_KIND,
  zEvent,
  type EventKind,
} from '../../../schemas/event/v1.ts';
import { readEventLine } from '../../../schemas/event/read.ts';

const VALID: Readonly<Record<string, unknown>> = {
  v: 1,
  kind: 'call.intent',
  stream: '00112233445566778899aabbccddeeff',
  seq: 4,
  nonce: 'ffeeddccbbaa99887766554433221100',
  time: '2026-01-31T12:00:00.000Z',
  session: 's1',
  agent: 'a1',
  callId: '7',
  tool: 'read_secret',
};

/** The contract's own answer: zod, then what a kind requires, then fields that only the service sets. */
function contractAccepts(value: Readonly<Record<string, unknown>>): boolean {
  if (FORBIDDEN_FIELDS.some((field) => Object.hasOwn(value, field))) return false;
  if (!zEvent.safeParse(value).success) return false;
  return REQUIRED_BY_KIND[value['kind'] as EventKind].every((field) => value[field] !== undefined);
}

const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    '',
    'x'.repeat(257),
    -1,
    1.5,
    2 ** 53,
    1e13,
    true,
    null,
    'ABCDEF00112233445566778899aabbcc',
    'a\u0007b',
    '2026-02-30T00:00:00.000Z',
    '2026-13-01T00:00:00.000Z',
    ['a', 1],
    { level: 'low' },
    { verdict: 'granted', by: 'x' },
    { of: 'args' },
    { state: 'applied' },
    { snapshotHash: 'x', tools: [] },
  ),
);
const field = fc.constantFrom(
  ...Object.keys(zEvent.shape),
  'tenant',
  'alert',
  'extra',
  '__proto__',
  'constructor',
);

test('the compiled reader accepts exactly what the zod contract accepts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(field, junk), { maxLength: 3 }),
      fc.constantFrom(...EVENT_KINDS),
      (changes, kind) => {
        const line =
          JSON.stringify({ ...VALID, kind }).slice(0, -1) +
          changes
            .filter(
              ([key], at) =>
                changes.findIndex(([other]) => other === key) === at && !Object.hasOwn(VALID, key),
            )
            .map(([key, value]) => `,${JSON.stringify(key)}:${JSON.stringify(value)}`)
            .join('') +
          '}';
        const value = JSON.parse(line) as Record<string, unknown>;
        assert.equal(readEventLine(line).kind === 'event', contractAccepts(value), line);
      },
    ),
    { numRuns: 20_000 },
  );
});

test('a changed or removed base field is judged as the contract judges it', () => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(VALID)), fc.option(junk, { nil: undefined }), (key, value) => {
      const changed = JSON.parse(JSON.stringify({ ...VALID, [key]: value })) as Record<string, unknown>;
      assert.equal(readEventLine(JSON.stringify(changed)).kind === 'event', contractAccepts(changed));
    }),
    { numRuns: 5_000 },
  );
});

test('any bytes at all give an outcome, never a throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
      assert.ok(readEventLine(bytes).kind.length > 0),
    ),
    { numRuns: 5_000 },
  );
});

const code = (line: string | Uint8Array, strict = false): string => {
  const outcome = readEventLine(line, { strict });
  return outcome.kind === 'event' ? 'event' : `${outcome.code} ${outcome.path}`.trim();
};
const withTail = (tail: string): string => `${JSON.stringify(VALID).slice(0, -1)},${tail}}`;

test('each refusal names its code and field', () => {
  assert.equal(code('{"v":1'), 'event_malformed_json');
  assert.equal(code(Uint8Array.of(0x22, 0xff, 0x22)), 'event_malformed_json');
  assert.equal(code('[1]'), 'event_not_object');
  assert.equal(code('"x"'), 'event_not_object');
  assert.equal(code(' '.repeat(MAX_LINE_BYTES + 1)), 'event_too_large');
  assert.equal(code(withTail(`"args":${'['.repeat(10_000)}${']'.repeat(10_000)}`)), 'event_too_deep');
  assert.equal(code(withTail('"tenant":"x"')), 'event_forbidden_field tenant');
  assert.equal(code(withTail('"extra":1')), 'event');
  assert.equal(code(withTail('"extra":1'), true), 'event_unknown_field extra');
  assert.equal(code(JSON.stringify({ ...VALID, callId: undefined })), 'event_invalid callId');
  assert.equal(code(withTail('"approval":{"verdict":"maybe","by":"x"}')), 'event_invalid approval.verdict');
});

test('a repeated name is refused at any depth and in any spelling', () => {
  assert.equal(code(withTail('"tool":"other"')), 'event_duplicate_key');
  assert.equal(code(withTail('"args":{"a":[{"b":1,"b":2}]}')), 'event_duplicate_key');
  assert.equal(code(withTail(String.raw`"args":{"a":1,"\u0061":2}`)), 'event_duplicate_key');
  assert.equal(code(withTail('"args":{"a":":","b":"\\":{}","__proto__":1}')), 'event');
});
