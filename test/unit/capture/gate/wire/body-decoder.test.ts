/** The framing of bodies, in every cut (RFC 9112 §6.3, §7.1). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BodyDecoder } from '../../../../../services/capture/gate/wire/body-decoder.ts';
import type { Framing } from '../../../../../services/capture/gate/wire/response-head.ts';

interface Outcome {
  readonly body: string;
  readonly state: 'more' | 'end' | 'malformed';
  /** What came behind the body. */
  readonly rest: string;
}

/** Given in pieces: nothing is given behind the end. */
function decoded(framing: Framing, pieces: readonly string[]): Outcome {
  const decoder = new BodyDecoder(framing);
  let body = '';
  for (const [index, piece] of pieces.entries()) {
    const bytes = Buffer.from(piece, 'latin1');
    const { pieces: parts, state, rest } = decoder.push(bytes);
    body += Buffer.concat(parts).toString('latin1');
    if (state === 'malformed') return { body, state, rest: '' };
    const behind = bytes.toString('latin1', bytes.length - rest) + pieces.slice(index + 1).join('');
    if (state === 'end') return { body, state, rest: behind };
  }
  return { body, state: 'more', rest: '' };
}

const CHUNKED: Framing = { kind: 'chunked' };
const chunked = (text: string): Outcome => decoded(CHUNKED, [text]);

describe('a chunked body', () => {
  // The example of RFC 9112 §7.1.3 has chunks, extensions and trailers in this order.
  const WHOLE =
    '4\r\nWiki\r\n006;a=b;c="d;\xe4\\"e"\r\npedia \r\nE ; x\r\nin \r\n\r\nchunks.\r\n0\r\nExpires: never\r\nX:\r\n\r\n';
  const BODY = 'Wikipedia in \r\n\r\nchunks.';

  it('is read whole', () => {
    assert.deepEqual(chunked(`${WHOLE}HTTP`), { body: BODY, state: 'end', rest: 'HTTP' });
  });

  it('is the same in every two pieces', () => {
    for (let at = 0; at <= WHOLE.length; at++)
      assert.deepEqual(decoded(CHUNKED, [WHOLE.slice(0, at), `${WHOLE.slice(at)}HTTP`]), {
        body: BODY,
        state: 'end',
        rest: 'HTTP',
      });
  });

  it('is the same byte by byte, and ends with its last one', () => {
    assert.deepEqual(decoded(CHUNKED, WHOLE.split('')), { body: BODY, state: 'end', rest: '' });
    assert.equal(decoded(CHUNKED, WHOLE.slice(0, -1).split('')).state, 'more');
  });

  const GOOD: Readonly<Record<string, readonly [text: string, body: string]>> = {
    'of nothing': ['0\r\n\r\n', ''],
    'of nothing, in more digits': ['000\r\n\r\n', ''],
    'in hex of both cases': [
      `a\r\n${'x'.repeat(10)}\r\nA\r\n${'y'.repeat(10)}\r\n0\r\n\r\n`,
      'x'.repeat(10) + 'y'.repeat(10),
    ],
    'with line ends as data': ['2\r\n\r\n\r\n0\r\n\r\n', '\r\n'],
    'with an extension at its end': ['1\r\nx\r\n0;last\r\n\r\n', 'x'],
    'with bad whitespace in an extension (§7.1.1)': ['1 ;\ta = b\r\nx\r\n0\r\n\r\n', 'x'],
  };
  for (const [name, [text, body]] of Object.entries(GOOD))
    it(name, () => assert.deepEqual(chunked(text), { body, state: 'end', rest: '' }));

  const MALFORMED: Readonly<Record<string, string>> = {
    'no size': '\r\nx\r\n0\r\n\r\n',
    'a signed size': '+1\r\nx\r\n0\r\n\r\n',
    'a size below nought': '-1\r\nx\r\n0\r\n\r\n',
    'a size with 0x': '0x1\r\nx\r\n0\r\n\r\n',
    'a size that is no hex': 'g\r\nx\r\n0\r\n\r\n',
    'a size with an underscore': '1_0\r\nx\r\n0\r\n\r\n',
    'a size of too many digits': '0000000000001\r\nx\r\n0\r\n\r\n',
    'a size that wraps 64 bits': '10000000000000001\r\nx\r\n0\r\n\r\n',
    'blanks before a size': ' 1\r\nx\r\n0\r\n\r\n',
    'blanks behind a size': '1 \r\nx\r\n0\r\n\r\n',
    'blanks in a size': '1 0\r\nx\r\n0\r\n\r\n',
    'a size line that ends with LF': '1\nx\r\n0\r\n\r\n',
    'a CR in a size line': '1\r\r\nx\r\n0\r\n\r\n',
    'an extension without a name': '1;\r\nx\r\n0\r\n\r\n',
    'an extension whose name is no token': '1;a b\r\nx\r\n0\r\n\r\n',
    'an extension without a value': '1;a=\r\nx\r\n0\r\n\r\n',
    'an extension whose quotes stay open': '1;a="b\r\nx\r\n0\r\n\r\n',
    'a NUL in an extension': '1;a\0\r\nx\r\n0\r\n\r\n',
    'a CR in an extension': '1;a\rb\r\nx\r\n0\r\n\r\n',
    'data longer than said': '1\r\nxy\r\n0\r\n\r\n',
    'data shorter than said': '3\r\nx\r\n0\r\n\r\n',
    'data that ends with LF': '1\r\nx\n0\r\n\r\n',
    'data that ends with CR': '1\r\nx\r0\r\n\r\n\n',
    'a trailer without a colon': '0\r\na\r\n\r\n',
    'a folded trailer': '0\r\na: b\r\n c\r\n\r\n',
    'a trailer with a blank before the colon': '0\r\na : b\r\n\r\n',
    'a trailer that ends with LF': '0\r\na: b\n\r\n',
    'an end of LF': '0\r\n\n',
    'a NUL in a trailer': '0\r\na: \0\r\n\r\n',
  };
  for (const [name, text] of Object.entries(MALFORMED))
    it(`is refused for ${name}, whole and byte by byte`, () => {
      assert.equal(chunked(text).state, 'malformed');
      assert.equal(decoded(CHUNKED, text.split('')).state, 'malformed');
    });

  it('has lines and trailers of some length, no more', () => {
    const long = 'x'.repeat(5_000);
    assert.equal(chunked(`1;${long}\r\nx`).state, 'malformed');
    assert.equal(chunked(`1;${long}`).state, 'malformed', 'without an end');
    assert.equal(
      decoded(CHUNKED, ['1\r\nx', ...long.split('')]).state,
      'malformed',
      'where a line end is due',
    );
    assert.equal(chunked(`0\r\n${'a: b\r\n'.repeat(100)}\r\n`).state, 'end');
    assert.equal(chunked(`0\r\n${'a: b\r\n'.repeat(10_000)}\r\n`).state, 'malformed');
  });
});

describe('another body', () => {
  const THREE: Framing = { kind: 'length', bytes: 3 };

  it('of a length ends with its last byte', () => {
    assert.deepEqual(decoded(THREE, ['abcd']), { body: 'abc', state: 'end', rest: 'd' });
    assert.deepEqual(decoded(THREE, ['a', 'b', 'c']), { body: 'abc', state: 'end', rest: '' });
    assert.deepEqual(decoded(THREE, ['ab']), { body: 'ab', state: 'more', rest: '' });
  });

  it('that is none ends before the first', () => {
    assert.deepEqual(decoded({ kind: 'none' }, ['abc']), { body: '', state: 'end', rest: 'abc' });
    assert.deepEqual(decoded({ kind: 'none' }, ['']), { body: '', state: 'end', rest: '' });
  });

  it('until the end of the connection has none of its own', () => {
    assert.deepEqual(decoded({ kind: 'until_close' }, ['ab', '', 'c']), {
      body: 'abc',
      state: 'more',
      rest: '',
    });
  });
});
