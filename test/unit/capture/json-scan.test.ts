/** The byte scanner against JSON.parse, on values and layouts that fast-check makes up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  arrayElements,
  inlineFault,
  lastMember,
  objectMembers,
} from '../../../services/capture/json-scan.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const all = (bytes: Uint8Array) => ({ start: 0, end: bytes.length });
const parsedSpan = (bytes: Uint8Array, span: { start: number; end: number }): unknown =>
  JSON.parse(new TextDecoder().decode(bytes.subarray(span.start, span.end)));

describe('json scan', () => {
  it('finds the members that JSON.parse finds, at any layout', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()),
        fc.constantFrom(0, 1, '\t', 3),
        (object, indent) => {
          const bytes = bytesOf(` ${JSON.stringify(object, null, indent)}\r\n`);
          const members = objectMembers(bytes, all(bytes)) ?? [];
          const found = members.map((member) => [member.name, parsedSpan(bytes, member)]);
          assert.deepEqual(found, Object.entries(JSON.parse(JSON.stringify(object)) as object));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('finds the elements of an array', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (values) => {
        const bytes = bytesOf(JSON.stringify(values, null, 1));
        const spans = arrayElements(bytes, all(bytes)) ?? [];
        assert.deepEqual(
          spans.map((span) => parsedSpan(bytes, span)),
          JSON.parse(JSON.stringify(values)),
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it('neither throws nor leaves its bounds on arbitrary and torn bytes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), fc.uint8Array({ maxLength: 12 }), (value, cut, noise) => {
        const whole = bytesOf(JSON.stringify({ a: value, b: [value] }));
        const bytes = new Uint8Array([...whole.subarray(0, cut % whole.length), ...noise]);
        for (const member of objectMembers(bytes, all(bytes)) ?? []) {
          assert.ok(member.start >= 0 && member.end <= bytes.length && member.start < member.end);
        }
        inlineFault(bytes, all(bytes), 8);
      }),
      { numRuns: 3_000 },
    );
  });

  it('a key in escapes is the same key, and the last twin counts as in JSON.parse', () => {
    const bytes = bytesOf(String.raw`{"method":"a","\u006dethod":"b"}`);
    const member = lastMember(objectMembers(bytes, all(bytes)), 'method');
    assert.equal(member === undefined ? undefined : parsedSpan(bytes, member), 'b');
  });

  for (const [text, maxDepth, fault] of [
    ['{"a":{"b":[1]}}', 3, undefined],
    ['{"a":{"b":[1]}}', 2, 'too_deep'],
    ['{"a":1,"b":{"a":2},"c":[{"a":1},{"a":1}]}', 9, undefined],
    ['{"a":1,"b":2,"a":3}', 9, 'duplicate_key'],
    [String.raw`{"x":{"a":1,"\u0061":3}}`, 9, 'duplicate_key'],
    ['{"a":"a","b":["a","a"]}', 9, undefined],
  ] as const) {
    it(`${text} within depth ${maxDepth}: ${fault ?? 'no fault'}`, () => {
      const bytes = bytesOf(text);
      assert.equal(inlineFault(bytes, all(bytes), maxDepth), fault);
    });
  }

  it('10,000 levels deep and a million unclosed brackets take no stack and little time', () => {
    for (const text of ['['.repeat(1_000_000), `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`]) {
      const bytes = bytesOf(text);
      objectMembers(bytes, all(bytes));
      assert.equal(inlineFault(bytes, all(bytes), 64), 'too_deep');
    }
  });
});
