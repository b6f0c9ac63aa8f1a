/** Properties over random bodies: what is known to be secret stands in no line, and every line is the event that it says. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readEventLine } from '../../../schemas/event/read.ts';
import { redactorOf, type TestRedactor } from '../../support/redaction/redactor.ts';

const SECRET_LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789';
const AWKWARD = [...SECRET_LETTERS, '"', '\\', '/', '+', 'ä', '€', '😀', '=', '%', ' ', '\n', '~'];
/** Random enough to be no word, with characters that JSON and encodings treat in their own way. */
const secret = fc
  .tuple(
    fc.array(fc.constantFrom(...SECRET_LETTERS), { minLength: 6, maxLength: 10 }),
    fc.array(fc.constantFrom(...AWKWARD), { maxLength: 20 }),
    fc.array(fc.constantFrom(...SECRET_LETTERS), { minLength: 6, maxLength: 10 }),
  )
  .map((parts) => `q7${parts.flat().join('')}9Z`);

type Encode = (text: string) => string;
const ENCODINGS: readonly Encode[] = [
  (text) => text,
  (text) => Buffer.from(text).toString('base64'),
  (text) => Buffer.from(text).toString('base64url'),
  (text) => Buffer.from(text).toString('hex'),
  (text) => encodeURIComponent(text),
  (text) => Array.from(text).toReversed().join(''),
  (text) => JSON.stringify(text),
];
const noise = fc.string({ maxLength: 12, unit: 'grapheme' });
/** Places a text somewhere in a value. */
const holder = (text: string): fc.Arbitrary<unknown> => {
  const { node } = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small' },
      fc.constant(text),
      fc.tuple(noise, noise).map(([before, after]) => `${before} ${text} ${after}`),
      fc.tuple(fc.jsonValue({ maxDepth: 2 }), tie('node')).map(([other, inner]) => [other, inner]),
      fc
        .tuple(noise, tie('node'), fc.jsonValue({ maxDepth: 1 }))
        .map(([name, inner, other]) => ({ other, [`k${name}`]: inner })),
      fc.tuple(noise, fc.jsonValue({ maxDepth: 1 })).map(([name, other]) => ({ [`${name} ${text}`]: other })),
    ),
  }));
  return node;
};

const RULES = [{ id: 'vault', of: 'result', paths: ['$.value'], action: 'digest' }];
const taught = (value: string): TestRedactor => {
  const made = redactorOf(RULES);
  made.record('result', JSON.stringify({ value }));
  return made;
};

/** All that the text could be recognised by, as it would stand in a line. */
function assertNowhere(lines: readonly string[], value: string): void {
  const forms = ENCODINGS.map((encode) => encode(value.trim()));
  for (const line of lines) {
    const texts = [line, line.replaceAll('\\\\', '\\')];
    for (const form of forms)
      for (const shown of [form, JSON.stringify(form).slice(1, -1)])
        assert.ok(
          !texts.some((text) => text.includes(shown)),
          `${JSON.stringify(shown)} in ${line.slice(0, 2_000)}`,
        );
  }
}

function assertSound(lines: readonly string[]): void {
  for (const line of lines) {
    const read = readEventLine(line);
    assert.ok(read.kind === 'event' && read.unknownFields.length === 0, JSON.stringify(read).slice(0, 500));
  }
}

describe('for any body', () => {
  it('a value of the session stands in no line, wherever and however it comes again', () => {
    fc.assert(
      fc.property(
        secret.chain((value) =>
          fc.tuple(
            fc.constant(value),
            fc.constantFrom(...ENCODINGS).chain((encode) => holder(encode(value.trim()))),
          ),
        ),
        ([value, body]) => {
          const { record } = taught(value);
          const { lines } = record('args', JSON.stringify({ body }));
          assertSound(lines);
          assertNowhere(lines, value);
        },
      ),
      { numRuns: 300 },
    );
  });
  it('nor across the parts of a long body', () => {
    fc.assert(
      fc.property(secret, fc.integer({ min: -40, max: 10 }), (value, shift) => {
        const { record } = taught(value);
        const filler = 'word '.repeat(60_000);
        // Parts are of 192 KiB: the value stands across the first border.
        const at = 192 * 1024 - '{"body":"'.length + shift;
        const body = `${filler.slice(0, at)} ${value} ${filler}`;
        const { lines, events } = record('args', JSON.stringify({ body }));
        assert.ok(lines.length > 2);
        assertSound(lines);
        assertNowhere(lines, value);
        const parts = events.flatMap(({ body: part }) =>
          part === undefined ? [] : [(part as { data: string }).data],
        );
        const joined = JSON.parse(parts.join('')) as { body: string };
        assert.match(joined.body, /\w \[#[0-9a-f]{32}\] word/);
      }),
      { numRuns: 12 },
    );
  });
  it('any JSON with a rule for every value keeps its shape and tells nothing of its texts', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 4 }),
        fc.constantFrom('remove', 'mask', 'digest'),
        (value, action) => {
          const { record } = redactorOf([{ id: 'all', paths: ['$', '$..*'], action }]);
          const { lines, events } = record('args', JSON.stringify(value));
          assertSound(lines);
          assert.deepEqual(shapeOf(events[0]?.['args']), shapeOf(value));
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Every value that is not null, as one sign. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (value === null) return null;
  if (typeof value !== 'object') return '.';
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shapeOf(member)]));
}
