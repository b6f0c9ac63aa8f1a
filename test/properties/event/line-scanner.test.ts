import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { destHost } from '../../../detectors/classify/dest-host.ts';
import { LineScanner } from '../../../schemas/event/line-scanner.ts';
import { readEventLine } from '../../../schemas/event/read.ts';
import { LineReader, ScannedEvent } from '../../../schemas/event/scanned-event.ts';
import { EVENT_KINDS, OUTCOMES, zEvent } from '../../../schemas/event/v1.ts';
import { addresses } from '../../support/event/addresses.ts';

const STREAM = '00112233445566778899aabbccddeeff';
const encoder = new TextEncoder();
const reader = new LineReader();
const scanner = new LineScanner();
const FIELDS = Object.keys(zEvent.shape);

/** The line as it lies in a record: neighbours must not be read. */
function inRecord(line: Uint8Array): {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly end: number;
} {
  const before = encoder.encode('{"v":1}\n');
  const after = encoder.encode('\n"},5e5]');
  const bytes = new Uint8Array(before.length + line.length + after.length);
  bytes.set(before);
  bytes.set(line, before.length);
  bytes.set(after, before.length + line.length);
  return { bytes, from: before.length, end: before.length + line.length };
}

function readsAsParsed(line: Uint8Array): void {
  const { bytes, from, end } = inRecord(line);
  const expected = readEventLine(line);
  const read = reader.read(bytes, { from, end, stream: STREAM });
  assert.equal(read !== undefined, expected.kind === 'event', new TextDecoder().decode(line));
  if (read === undefined || expected.kind !== 'event') return;
  for (const field of FIELDS)
    assert.deepEqual(read[field], expected.event[field], `${field} of ${new TextDecoder().decode(line)}`);
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom(
    '',
    'a\u007fb',
    'x'.repeat(257),
    '\ud800',
    '"},"session":"other',
    '\\',
    '\u2028',
    'http://a.b/',
  ),
);
const body = fc.oneof(
  fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }),
  fc.dictionary(fc.oneof(text, fc.constantFrom(...FIELDS, '__proto__')), text, { maxKeys: 40 }),
  fc.constantFrom<unknown>([], {}, -0, 1e300, 1.5e-7, [[[]]], { args: { session: 'nested', v: 1 } }),
);
const valid = fc.record(
  {
    v: fc.constant(1),
    kind: fc.constantFrom(...EVENT_KINDS),
    stream: fc.constantFrom(STREAM, 'f'.repeat(32)),
    seq: fc.oneof(fc.nat(), fc.maxSafeNat()),
    nonce: fc.constant('a'.repeat(32)),
    time: fc.constantFrom('2026-01-31T12:00:00.000Z', '2026-02-31T23:59:59.999Z', '2026-13-01T00:00:00.000Z'),
    session: fc.oneof(fc.constantFrom('s', 'session-1'), text),
    agent: fc.oneof(fc.constant('agent'), text),
    callId: fc.oneof(fc.constant('c1'), text),
    tool: fc.oneof(fc.constantFrom('read', 'write'), text),
    server: fc.oneof(fc.constant('srv'), text),
    args: body,
    result: body,
    outcome: fc.constantFrom(...OUTCOMES, 'other'),
    durationMs: fc.oneof(fc.nat(), fc.double(), fc.constantFrom(1e12, 1e13, 9_999_999_999_999)),
    annotations: fc.oneof(fc.constant({ readOnlyHint: true }), body),
    trust: fc.oneof(fc.constant({ level: 'untrusted' }), body),
    labels: fc.oneof(fc.constant(['secret']), body),
    schemaValid: fc.oneof(fc.boolean(), text),
    traceId: fc.constantFrom('0'.repeat(32), 'A'.repeat(32), 'short'),
    argsBytes: fc.oneof(fc.nat(), fc.constantFrom(-1, 1.5)),
    extra: text,
  },
  {
    requiredKeys: [
      'v',
      'kind',
      'stream',
      'seq',
      'nonce',
      'time',
      'session',
      'agent',
      'callId',
      'tool',
      'outcome',
    ],
  },
);

test('whatever an event holds, its bytes read as JSON.parse and the checks read them', () => {
  fc.assert(
    fc.property(valid, (event) => readsAsParsed(encoder.encode(JSON.stringify(event)))),
    { numRuns: 2_000 },
  );
});

/** Bytes that mean something to a reader of JSON, and some that are no UTF-8. */
const HOSTILE = [...encoder.encode('{}[]":,\\/ \t\r.eE+-0159tfnu')];
const hostile = fc.oneof(
  fc.constantFrom(...HOSTILE, 0, 0x1f, 0x7f, 0x80, 0xc0, 0xc3, 0xed, 0xa0, 0xf4, 0x90, 0xff),
  fc.nat(255),
);
const edit = fc.record({
  at: fc.nat(600),
  remove: fc.nat(3),
  insert: fc.array(hostile, { maxLength: 4 }),
});

test('a line with bytes changed, taken out and put in reads as JSON.parse and the checks read it', () => {
  fc.assert(
    fc.property(valid, fc.array(edit, { minLength: 1, maxLength: 3 }), (event, edits) => {
      const bytes = [...encoder.encode(JSON.stringify(event))];
      for (const { at, remove, insert } of edits)
        bytes.splice(at % bytes.length, remove, ...insert.filter((byte) => byte !== 0x0a));
      readsAsParsed(Uint8Array.from(bytes));
    }),
    { numRuns: 4_000 },
  );
});

const USUAL = `"v":1,"kind":"call.intent","stream":"${STREAM}","seq":4,"nonce":"${'0'.repeat(32)}","time":"2026-01-31T12:00:00.000Z","session":"s","agent":"a","callId":"7","tool":"t"`;
const lines: readonly (readonly [name: string, line: string])[] = [
  ['usual', `{${USUAL}}`],
  ['spaced', `{ ${USUAL.replaceAll(':', ' : ').replaceAll(' : 00', ':00')} }`],
  ['session twice', `{${USUAL},"session":"other"}`],
  ['session twice, once escaped', `{${USUAL},"\\u0073ession":"other"}`],
  ['session inside the arguments', `{${USUAL},"args":{"session":"other","stream":"x"}}`],
  ['session inside a text', `{${USUAL},"args":"\\",\\"session\\":\\"other\\""}`],
  ['a name twice inside the arguments', `{${USUAL},"args":{"a":1,"b":{"a":2},"a":3}}`],
  ['a name twice, once escaped', `{${USUAL},"args":{"a":1,"\\u0061":3}}`],
  ['the same name in neighbours', `{${USUAL},"args":[{"a":1},{"a":2}]}`],
  ['escaped session', `{${USUAL.replace('"s"', '"\\u0073"')}}`],
  ['escaped kind', `{${USUAL.replace('call.intent', 'call\\u002eintent')}}`],
  ['forbidden field', `{${USUAL},"tenant":"other"}`],
  ['prototype', `{${USUAL},"args":{"__proto__":{"x":1}}}`],
  ['deepest', `{${USUAL},"args":${'['.repeat(63)}${']'.repeat(63)}}`],
  ['too deep', `{${USUAL},"args":${'['.repeat(64)}${']'.repeat(64)}}`],
  ['never closed', `{${USUAL},"args":{"a":"`],
  ['closed twice', `{${USUAL}}}`],
  ['number with a leading zero', `{${USUAL},"argsBytes":01}`],
  ['version as 1.0', `{${USUAL.replace('"v":1', '"v":1.0')}}`],
  ['sequence as 4e0', `{${USUAL.replace('"seq":4', '"seq":4e0')}}`],
  ['sequence as -0', `{${USUAL.replace('"seq":4', '"seq":-0')}}`],
  ['an array', `[${USUAL}]`],
  ['nothing', ''],
];
for (const [name, line] of lines)
  test(`reads as parsed: ${name}`, () => {
    readsAsParsed(encoder.encode(line));
  });

test('usual lines are told by their bytes alone', () => {
  for (const [name, line] of lines.slice(0, 1)) {
    const bytes = encoder.encode(line);
    assert.equal(scanner.scan(bytes, 0, bytes.length), true, name);
  }
  const event = {
    args: { a: [1, -2.5e3, null, true, { ключ: 'значение 🙂', b: 'x\n"' }] },
    labels: ['internal'],
  };
  const bytes = encoder.encode(`{${USUAL},${JSON.stringify(event).slice(1)}`);
  assert.equal(scanner.scan(bytes, 0, bytes.length), true);
});

const address = addresses('2130706433', 'plain');
const named = fc.dictionary(
  fc.constantFrom('url', 'to', 'host', 'q', 'list'),
  fc.oneof(address, fc.array(address, { maxLength: 2 })),
  { maxKeys: 3 },
);

test('arguments that name a host are not taken for ones that name none', () => {
  let hosts = 0;
  fc.assert(
    fc.property(named, (args) => {
      const bytes = encoder.encode(`{${USUAL},"args":${JSON.stringify(args)}}`);
      const event = reader.read(bytes, { from: 0, end: bytes.length, stream: STREAM });
      assert.ok(event instanceof ScannedEvent);
      const host = destHost({ args }, []);
      if (host === '') return;
      hosts++;
      assert.ok(event.mayNameHost(), `${host} of ${JSON.stringify(args)}`);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(hosts > 50, `only ${hosts} hosts`);
});

test('a long text with any byte anywhere in it reads as parsed', () => {
  for (let length = 17; length < 45; length += 1) {
    const line = encoder.encode(`{${USUAL},"args":"${'x'.repeat(length)}"}`);
    const last = line.length - 3;
    for (let byte = 0; byte < 256; byte += 1) {
      for (const at of [last, last - 1, last - (byte % 17)]) {
        const other = Uint8Array.from(line);
        other[at] = byte;
        readsAsParsed(other);
      }
    }
  }
});

test('a duration reads as JSON.parse reads it', () => {
  const decimals = fc
    .tuple(
      fc.nat(999_999_999_999),
      fc.option(fc.string({ unit: fc.constantFrom('0', '1', '5', '9'), maxLength: 5 })),
    )
    .map(([whole, fraction]) => (fraction === null ? String(whole) : `${whole}.${fraction}`));
  const odd = fc.constantFrom(
    '999999999999.999',
    '1e12',
    '1000000000000.1',
    '0.30',
    '-0.5',
    '00.5',
    '.5',
    '1.5e3',
    '-0',
  );
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: decimals }, odd), (duration) =>
      readsAsParsed(encoder.encode(`{${USUAL},"durationMs":${duration}}`)),
    ),
    { numRuns: 2_000 },
  );
});
