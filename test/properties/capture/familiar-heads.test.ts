/** A head that is known by its bytes says what its bytes say, whatever was read before it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { FamiliarHeads } from '../../../services/capture/gate/wire/familiar-heads.ts';
import {
  readHead,
  type HeadOutcome,
  type HeadShape,
} from '../../../services/capture/gate/wire/header-fields.ts';
import { answerBytes, mutated, requestHeads } from '../../support/capture/http-bytes.ts';

const RUNS = 500;

const LENGTHS = [
  '',
  '0',
  '3',
  '00',
  '27',
  '123456789012345',
  '1234567890123456',
  '12345678901234567',
  '+3',
  '3 ',
  ' 3',
  '3, 3',
];
const DATES = [
  '',
  'Sun, 06 Nov 1994 08:49:37 GMT',
  'Mon, 07 Nov 1994 18:00:00 GMT',
  'Sunday, 06-Nov-94 08:49:37 GMT',
  `${'x'.repeat(28)} `,
  ` ${'x'.repeat(28)}`,
  `${'x'.repeat(28)}\xe4`,
  `${'x'.repeat(14)}\t${'x'.repeat(14)}`,
  `a\r\nHost: evil${' '.repeat(15)}b`,
  `a${' '.repeat(27)}b`,
];
const PLACES = [
  ['Content-Length', 'Date'],
  ['Date', 'Content-Length'],
  ['date', 'content-length', 'Date'],
  ['Content-Length'],
  ['Date'],
  [],
] as const;

interface Form {
  readonly first: string;
  readonly before: string;
  readonly places: readonly string[];
  readonly blank: string;
  readonly behind: string;
}

const form: fc.Arbitrary<Form> = fc.record({
  first: fc.constantFrom('POST / HTTP/1.1', 'HTTP/1.1 200 OK'),
  before: fc.constantFrom('Host: a\r\n', 'A: date: x\r\n'),
  places: fc.constantFrom(...PLACES),
  blank: fc.constantFrom(' ', ' ', '', ' \t'),
  behind: fc.constantFrom('', 'Z: z\r\n', 'Content-Lengthy: 3\r\n'),
});

const filled = ({ first, before, places, blank, behind }: Form): fc.Arbitrary<string> =>
  fc.tuple(fc.constantFrom(...LENGTHS), fc.constantFrom(...DATES)).map(([length, date]) => {
    const lines = places.map((name) => `${name}:${blank}${/date/iu.test(name) ? date : length}\r\n`);
    return `${first}\r\n${before}${lines.join('')}${behind}\r\nbody`;
  });

const formed = form.chain(filled);

/** What one connection carries: few forms, and many values in them. */
const heads = fc
  .tuple(form, form)
  .chain(([one, other]) =>
    fc.array(
      fc.oneof(
        { weight: 8, arbitrary: mutated(filled(one)) },
        { weight: 4, arbitrary: mutated(filled(other)) },
        answerBytes,
        requestHeads,
      ),
      { minLength: 2, maxLength: 16 },
    ),
  );

/** By value: shapes have no prototype, whose lack is no difference. */
const plain = (outcome: HeadOutcome): unknown => JSON.parse(JSON.stringify(outcome)) as unknown;

/** A head without the values of Content-Length and Date. */
function restOf(bytes: Buffer): string {
  const head = bytes.toString('latin1').split('\r\n\r\n', 1)[0] ?? '';
  return `${head}\r\n`.replaceAll(/(\r\n(?:content-length|date):)[^\r\n]*(?=\r\n)/giu, '$1');
}

it('as when it is read for the first time, and shared only where nothing else differs', () => {
  let shared = 0;
  const property = fc.property(heads, (sequence) => {
    const familiar = new FamiliarHeads();
    const owners = new Map<HeadShape, string>();
    for (const bytes of sequence) {
      const outcome = familiar.read(bytes);
      assert.deepEqual(plain(outcome), plain(readHead(bytes)));
      if (outcome.kind !== 'head') continue;
      const { shape } = outcome.head;
      const owner = owners.get(shape);
      if (owner !== undefined) {
        shared++;
        assert.equal(restOf(bytes), owner);
      }
      owners.set(shape, restOf(bytes));
    }
  });
  fc.assert(property, { numRuns: RUNS });
  assert.ok(shared > RUNS / 2, `${shared} shared`);
});

it('whole or in part: nothing is known of a head that has not come', () => {
  const property = fc.property(formed, fc.double({ min: 0, max: 1, noNaN: true }), (text, place) => {
    const familiar = new FamiliarHeads();
    const whole = Buffer.from(text, 'latin1');
    familiar.read(whole);
    const part = whole.subarray(0, Math.floor(place * whole.length));
    assert.deepEqual(plain(familiar.read(part)), plain(readHead(part)));
  });
  fc.assert(property, { numRuns: RUNS });
});
