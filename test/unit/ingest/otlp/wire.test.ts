/** The two encodings at their edges: what is read, what one item's fault costs, and what is refused as a whole. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isTriplineError, type ErrorCode } from '../../../../schemas/errors.ts';
import { MAX_VALUE_DEPTH } from '../../../../services/ingest/otlp/model.ts';
import { readJsonLogs, readJsonSpans } from '../../../../services/ingest/otlp/wire/json.ts';
import { readProtobufSpans } from '../../../../services/ingest/otlp/wire/protobuf.ts';
import {
  anyValue,
  spanIdOf,
  spanJson,
  traceIdOf,
  traceRequest,
  type Plain,
} from '../../../support/otlp/build.ts';
import { encodeOtlp } from '../../../support/otlp/encode.ts';
import { LIMITS } from './read.ts';

const bytes = (json: unknown): Buffer => Buffer.from(JSON.stringify(json));
const span = (more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  ...spanJson({ traceId: traceIdOf('t'), spanId: spanIdOf('s') }),
  ...more,
});
const request = (...spans: readonly unknown[]) => ({ resourceSpans: [{ scopeSpans: [{ spans }] }] });
const readOne = (more: Readonly<Record<string, unknown>>) => {
  const [only] = readJsonSpans(bytes(request(span(more))), LIMITS).items;
  assert.ok(only);
  return only;
};
const failsWith = (code: ErrorCode, work: () => unknown): void =>
  assert.throws(work, (error) => isTriplineError(error, code));

/** A protobuf field of a length: its tag and bytes. */
function field(number: number, content: Uint8Array): Buffer {
  const length = [];
  for (let rest = content.length; ; rest = rest >>> 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), content]);
}

describe('OTLP/JSON', () => {
  it('takes integers as numbers and as text, exactly', () => {
    const attributes = [
      { key: 'number', value: { intValue: 7 } },
      { key: 'text', value: { intValue: '-7' } },
      { key: 'large', value: { intValue: '9223372036854775807' } },
      { key: 'none', value: {} },
      { key: 'later', value: { someLaterValue: 1 } },
    ];
    assert.deepEqual(Object.fromEntries(readOne({ attributes }).attributes), {
      number: 7,
      text: -7,
      large: '9223372036854775807',
      none: null,
      later: null,
    });
  });
  it('takes a status as number and as name, and fields that are absent or of another type', () => {
    assert.equal(readOne({ status: { code: 'STATUS_CODE_ERROR' } }).failed, true);
    assert.equal(readOne({ status: { code: 2 } }).failed, true);
    assert.equal(readOne({ status: undefined }).failed, false);
    const odd = readOne({
      name: 7,
      status: 'x',
      attributes: 'x',
      events: {},
      parentSpanId: null,
      startTimeUnixNano: -1,
    });
    assert.deepEqual([odd.name, odd.failed, odd.parentSpanId, odd.startNs], ['', false, undefined, 0n]);
  });
  it('takes ids in either case, and an empty parent as none', () => {
    const read = readOne({ traceId: 'ABCDEF'.padEnd(32, '0'), parentSpanId: '' });
    assert.deepEqual([read.traceId, read.parentSpanId], ['abcdef'.padEnd(32, '0'), undefined]);
  });
  it('refuses a span without ids and takes the others', () => {
    for (const traceId of [undefined, '', '0'.repeat(32), 'a'.repeat(31), 'g'.repeat(32), 7]) {
      const { items, refused } = readJsonSpans(bytes(request(span({ traceId }), span())), LIMITS);
      assert.equal(items.length, 1);
      assert.deepEqual(
        refused.map(({ index, reason }) => [index, reason]),
        [[0, 'traceId: 32 hex digits, not all zeros']],
      );
    }
  });
  it('an empty request holds nothing; no object or a list that is none is malformed', () => {
    assert.deepEqual(readJsonSpans(bytes({}), LIMITS), { items: [], refused: [] });
    assert.deepEqual(readJsonLogs(bytes({ resourceLogs: [{}] }), LIMITS), { items: [], refused: [] });
    for (const body of [
      '',
      'null',
      '[]',
      '7',
      '{',
      '{"resourceSpans":{}}',
      '{"resourceSpans":[{"scopeSpans":7}]}',
      '\u00ff',
    ])
      failsWith('body_malformed', () => readJsonSpans(Buffer.from(body, 'latin1'), LIMITS));
  });
  it('nesting is bounded before it is parsed', () => {
    failsWith('body_malformed', () => readJsonSpans(Buffer.from('['.repeat(100_000)), LIMITS));
  });
  it('a body of many tiny members is refused before it becomes objects', () => {
    failsWith('body_too_large', () =>
      readJsonSpans(Buffer.from(`{"x":[${'{},'.repeat(1_000_000)}{}]}`), LIMITS),
    );
  });
});

describe('both encodings', () => {
  const encodings: readonly [
    string,
    (json: object, maxItems?: number) => ReturnType<typeof readJsonSpans>,
  ][] = [
    ['JSON', (json, maxItems = 10) => readJsonSpans(bytes(json), { maxItems })],
    ['protobuf', (json, maxItems = 10) => readProtobufSpans(encodeOtlp('Traces', json), { maxItems })],
  ];
  for (const [name, read] of encodings) {
    it(`${name}: more spans than allowed are refused as a whole`, () => {
      assert.equal(read(request(span(), span(), span()), 3).items.length, 3);
      failsWith('body_too_large', () => read(request(span(), span(), span()), 2));
    });
    it(`${name}: values nest to the limit, and the span is refused beyond it`, () => {
      const nested = (depth: number): Plain => (depth === 0 ? 'x' : [nested(depth - 1)]);
      const deep = (depth: number) =>
        request(span({ attributes: [{ key: 'k', value: anyValue(nested(depth)) }] }), span());
      assert.deepEqual(read(deep(MAX_VALUE_DEPTH)).refused, []);
      const { items, refused } = read(deep(MAX_VALUE_DEPTH + 1));
      assert.equal(items.length, 1);
      assert.deepEqual(
        refused.map(({ index }) => index),
        [0],
      );
    });
    it(`${name}: names of an object's own machinery are names like any other`, () => {
      const value = anyValue(JSON.parse('{"__proto__":{"x":"1"},"constructor":"c"}') as Plain);
      const [only] = read(request(span({ attributes: [{ key: '__proto__', value }] }))).items;
      const held = only?.attributes.get('__proto__');
      assert.equal(JSON.stringify(held), '{"__proto__":{"x":"1"},"constructor":"c"}');
    });
  }
  it('an exception of a span gives its message', () => {
    const events = [
      { name: 'exception', attributes: [{ key: 'exception.message', value: { stringValue: 'no' } }] },
    ];
    for (const [, read] of encodings)
      assert.equal(read(request(span({ events }))).items[0]?.exceptionMessage, 'no');
  });
});

describe('OTLP in protobuf', () => {
  const whole = encodeOtlp(
    'Traces',
    traceRequest([{ traceId: traceIdOf('t'), spanId: spanIdOf('s'), name: 'n' }]),
  );

  it('a body that ends early anywhere is malformed', () => {
    for (let length = 1; length < whole.length; length += 1)
      failsWith('body_malformed', () => readProtobufSpans(whole.subarray(0, length), LIMITS));
  });
  it('fields that came later are skipped', () => {
    const later = Buffer.concat([whole, field(99, Buffer.from('later'))]);
    assert.deepEqual(readProtobufSpans(later, LIMITS), readProtobufSpans(whole, LIMITS));
  });
  it('a resource may stand behind its spans', () => {
    const resource = field(
      1,
      field(
        1,
        Buffer.concat([field(1, Buffer.from('service.name')), field(2, field(1, Buffer.from('svc')))]),
      ),
    );
    const spanBytes = Buffer.concat([field(1, Buffer.alloc(16, 1)), field(2, Buffer.alloc(8, 2))]);
    const group = Buffer.concat([field(2, field(2, spanBytes)), resource]);
    const [only] = readProtobufSpans(field(1, group), LIMITS).items;
    assert.equal(only?.resource.get('service.name'), 'svc');
  });
  it('millions of empty spans are refused before they become objects', () => {
    const spans = Buffer.alloc(4_000_000, Buffer.from([(2 << 3) | 2, 0]));
    failsWith('body_too_large', () => readProtobufSpans(field(1, field(2, spans)), LIMITS));
  });
});
