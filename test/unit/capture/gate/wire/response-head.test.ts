/** What the head of a server's answer says of its body and its connection (RFC 9112 §4, §6.3, §9.3), and what is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FamiliarHeads } from '../../../../../services/capture/gate/wire/familiar-heads.ts';
import {
  readResponseHead,
  type ResponseHead,
  type ResponseHeadOutcome,
} from '../../../../../services/capture/gate/wire/response-head.ts';

const read = (text: string): ResponseHeadOutcome =>
  readResponseHead(Buffer.from(text, 'latin1'), new FamiliarHeads());
const answer = (line: string, ...lines: readonly string[]): string => [line, ...lines, '', ''].join('\r\n');
const OK = 'HTTP/1.1 200 OK';
const CHUNKED = 'Transfer-Encoding: chunked';
const LENGTH = 'Content-Length: 3';

function headIn(text: string): ResponseHead {
  const outcome = read(text);
  assert.equal(outcome.kind, 'head');
  return outcome.head;
}

describe('the head of an answer', () => {
  it('is read as the server wrote it, the date apart (RFC 9110 §6.6.1)', () => {
    const date = 'Tue, 15 Nov 1994 08:12:31 GMT';
    const text = answer(OK, `Date: ${date}`, 'Set-Cookie: a', 'set-cookie: b', LENGTH);
    const head = headIn(`${text}abc`);
    assert.equal(head.status, 200);
    assert.equal(head.date, date);
    assert.deepEqual(head.rawHeaders, ['Set-Cookie', 'a', 'set-cookie', 'b']);
    assert.deepEqual({ ...head.headers }, { 'set-cookie': 'a, b' });
    assert.equal(head.end, text.length);
  });

  it('is known by its whole bytes', () => {
    const whole = answer(OK, LENGTH);
    for (let at = 0; at < whole.length; at++) assert.equal(read(whole.slice(0, at)).kind, 'partial', `${at}`);
  });
});

describe('the body of an answer', () => {
  type Case = readonly [text: string, framing: ResponseHead['framing'], keepsAlive: boolean];
  const none = { kind: 'none' } as const;
  const three = { kind: 'length', bytes: 3 } as const;
  const chunked = { kind: 'chunked' } as const;
  const untilClose = { kind: 'until_close' } as const;
  const CASES: Readonly<Record<string, Case>> = {
    'has a length': [answer(OK, LENGTH), three, true],
    'has no bytes': [answer(OK, 'Content-Length: 0'), none, true],
    'has no bytes, in more digits': [answer(OK, 'Content-Length: 000'), none, true],
    'is chunked': [answer(OK, CHUNKED), chunked, true],
    'is chunked, in any case': [answer(OK, 'transfer-encoding: Chunked'), chunked, true],
    'goes on until the end': [answer(OK), untilClose, false],
    'goes on until the end, whatever is said of the connection': [
      answer(OK, 'Connection: keep-alive'),
      untilClose,
      false,
    ],
    'is the last of its connection': [answer(OK, LENGTH, 'Connection: close'), three, false],
    'is the last, among other options': [answer(OK, LENGTH, 'Connection: x, Close'), three, false],
    'is the last, in a line of its own': [
      answer(OK, LENGTH, 'Connection: keep-alive', 'Connection: close'),
      three,
      false,
    ],
    'is not the last for a name that only begins so': [answer(OK, LENGTH, 'Connection: closed'), three, true],
    'of HTTP/1.0 is the last': [answer('HTTP/1.0 200 OK', LENGTH), three, false],
    'of HTTP/1.0 that stays': [answer('HTTP/1.0 200 OK', LENGTH, 'Connection: Keep-Alive'), three, true],
    'of HTTP/1.0 without a length': [answer('HTTP/1.0 200 OK'), untilClose, false],
    'is none for 204': [answer('HTTP/1.1 204 No Content'), none, true],
    'is none for 204 that says so': [answer('HTTP/1.1 204 No Content', 'Content-Length: 0'), none, true],
    'is none for 304': [answer('HTTP/1.1 304 Not Modified'), none, true],
    // The length of what would have come (RFC 9110 §8.6); who sends it all the same is not asked again.
    'is none for 304 with a length': [answer('HTTP/1.1 304 Not Modified', LENGTH), none, false],
    'is none for 204 that is chunked': [answer('HTTP/1.1 204 No Content', CHUNKED), none, false],
    'has a status that nobody knows': [answer('HTTP/1.1 799 What', LENGTH), three, true],
    'has no reason': [answer('HTTP/1.1 200 ', LENGTH), three, true],
    'has no reason and no blank': [answer('HTTP/1.1 200', LENGTH), three, true],
    'has a reason beyond ASCII': [answer('HTTP/1.1 200 \xe4', LENGTH), three, true],
  };
  for (const [name, [text, framing, keepsAlive]] of Object.entries(CASES))
    it(name, () => {
      const head = headIn(text);
      assert.deepEqual(head.framing, framing);
      assert.equal(head.keepsAlive, keepsAlive);
    });
});

describe('interim answers', () => {
  for (const status of [100, 102, 103, 199])
    it(`${status} has another behind it`, () => {
      const text = answer(`HTTP/1.1 ${status} A`, 'Link: a');
      assert.deepEqual(read(text + answer(OK)), { kind: 'interim', end: text.length });
    });

  it('101 is none: nobody asked for another protocol', () => {
    assert.equal(read(answer('HTTP/1.1 101 Switching Protocols', 'Upgrade: h2c')).kind, 'malformed');
  });
});

describe('an answer is refused for', () => {
  const MALFORMED: Readonly<Record<string, string>> = {
    'a length and chunks together (§6.3)': answer(OK, LENGTH, CHUNKED),
    'chunks and a length': answer(OK, CHUNKED, 'Content-Length: 0'),
    'chunks in HTTP/1.0 (§6.1)': answer('HTTP/1.0 200 OK', CHUNKED),
    'chunks twice': answer(OK, CHUNKED, CHUNKED),
    'another encoding': answer(OK, 'Transfer-Encoding: gzip, chunked'),
    'another encoding alone': answer(OK, 'Transfer-Encoding: identity'),
    'an encoding behind chunks': answer(OK, 'Transfer-Encoding: chunked, gzip'),
    'no encoding': answer(OK, 'Transfer-Encoding:'),
    'two lengths': answer(OK, LENGTH, 'Content-Length: 4'),
    'two lengths that are the same': answer(OK, LENGTH, LENGTH),
    'a list of lengths': answer(OK, 'Content-Length: 3, 3'),
    'two lengths, also where there is no body': answer('HTTP/1.1 304 Not Modified', LENGTH, LENGTH),
    'both framings, also where there is no body': answer('HTTP/1.1 204 No Content', LENGTH, CHUNKED),
    'a signed length': answer(OK, 'Content-Length: +3'),
    'a length below nought': answer(OK, 'Content-Length: -1'),
    'a length in hex': answer(OK, 'Content-Length: 0x3'),
    'an empty length': answer(OK, 'Content-Length:'),
    'a length beyond whole numbers': answer(OK, `Content-Length: ${'9'.repeat(16)}`),
    'a folded line': answer(OK, LENGTH, 'A: b', ' c'),
    'a bare LF': answer(OK, `A: b\n${LENGTH}`),
    'a bare CR': answer(OK, LENGTH, 'A: b\rc'),
    'a NUL': answer(OK, LENGTH, 'A: \0'),
    'a blank before the colon': answer(OK, LENGTH, 'A : b'),
    'an empty line before it': `\r\n${answer(OK, LENGTH)}`,
    'HTTP/2': answer('HTTP/2 200 OK', LENGTH),
    'HTTP/1.2': answer('HTTP/1.2 200 OK', LENGTH),
    'another protocol': answer('ICY 200 OK', LENGTH),
    'a status of two digits': answer('HTTP/1.1 20 OK', LENGTH),
    'a status of four digits': answer('HTTP/1.1 2000 OK', LENGTH),
    'a status below 100': answer('HTTP/1.1 099 OK', LENGTH),
    'a signed status': answer('HTTP/1.1 +20 OK', LENGTH),
    'no blank behind the status': answer('HTTP/1.1 200OK', LENGTH),
    'two blanks before the status': answer('HTTP/1.1  200 OK', LENGTH),
    'a head that does not end': `${OK}\r\nA: ${'x'.repeat(16 * 1024)}`,
  };
  for (const [name, text] of Object.entries(MALFORMED))
    it(name, () => assert.equal(read(text).kind, 'malformed'));
});
