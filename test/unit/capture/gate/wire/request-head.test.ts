/** Which requests the gate reads for itself, rule by rule (RFC 9112 §2-6); all others are for Node's server. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FamiliarHeads } from '../../../../../services/capture/gate/wire/familiar-heads.ts';
import {
  readPlainRequest,
  type RequestOutcome,
} from '../../../../../services/capture/gate/wire/request-head.ts';

const MAX_HEAD_BYTES = 16 * 1024;
const MAX_PLAIN_BYTES = 64 * 1024;

const read = (text: string): RequestOutcome =>
  readPlainRequest(Buffer.from(text, 'latin1'), new FamiliarHeads());
const kindOf = (text: string): RequestOutcome['kind'] => read(text).kind;
/** A POST with these lines beside a Host, and a body of three bytes. */
const post = (...lines: readonly string[]): string =>
  ['POST /mcp HTTP/1.1', 'Host: a', ...lines, '', 'abc'].join('\r\n');
const get = (line: string, ...lines: readonly string[]): string =>
  [line, 'Host: a', ...lines, '', ''].join('\r\n');

describe('a plain request', () => {
  it('is read with its target, headers and body as they were written', () => {
    const bytes = post('X-Kept:\t two  words\t ', 'Content-Length: 3', 'Empty:', 'Umlaut: \xe4');
    const outcome = read(`${bytes}GET`);
    assert.equal(outcome.kind, 'request');
    const { method, target, headers, rawHeaders, body } = outcome.request;
    assert.equal(method, 'POST');
    assert.equal(target, '/mcp');
    assert.deepEqual(
      { ...headers },
      { host: 'a', 'x-kept': 'two  words', empty: '', umlaut: '\xe4' },
      'Content-Length stands apart',
    );
    assert.deepEqual(rawHeaders, ['Host', 'a', 'X-Kept', 'two  words', 'Empty', '', 'Umlaut', '\xe4']);
    assert.equal(body.toString(), 'abc');
    assert.equal(outcome.end, bytes.length);
  });

  it('may have `__proto__` for a header, which is one like others', () => {
    const outcome = read(post('Content-Length: 3', '__proto__: x', 'constructor: y'));
    assert.equal(outcome.kind, 'request');
    const { headers } = outcome.request;
    assert.equal(Object.getPrototypeOf(headers), null);
    assert.deepEqual(Object.keys(headers), ['host', '__proto__', 'constructor']);
    assert.equal(headers['toString'], undefined);
  });

  const PLAIN: Readonly<Record<string, string>> = {
    'a GET without a length': get('GET /mcp HTTP/1.1'),
    'a GET with none to come': get('GET /mcp HTTP/1.1', 'Content-Length: 0'),
    'a DELETE': get('DELETE /mcp HTTP/1.1', 'Mcp-Session-Id: 1'),
    'a POST of nothing': get('POST /mcp HTTP/1.1', 'Content-Length: 0'),
    'a query': get('GET /mcp?a=b&c="%20/? HTTP/1.1'),
    'a connection that stays': get('GET /mcp HTTP/1.1', 'Connection: Keep-Alive'),
    'leading noughts in a length': post('Content-Length: 003'),
    'blanks around a length': post('Content-Length: \t3 '),
    'names in any case': post('CONTENT-length: 3'),
    'every character of a token': get('GET /mcp HTTP/1.1', "!#$%&'*+-.^_`|~09azAZ: a"),
  };
  for (const [name, text] of Object.entries(PLAIN)) it(name, () => assert.equal(kindOf(text), 'request'));

  it('is known by its whole bytes: each part of it is partial', () => {
    for (const whole of [post('Content-Length: 3'), get('GET /mcp HTTP/1.1')])
      for (let at = 0; at < whole.length; at++) assert.equal(kindOf(whole.slice(0, at)), 'partial', `${at}`);
  });
});

describe('an unusual request', () => {
  const UNUSUAL: Readonly<Record<string, string>> = {
    'a folded line (§5.2)': post('Content-Length: 3', 'A: b', ' c'),
    'a line folded by a tab': post('Content-Length: 3', 'A: b', '\tc'),
    'a fold before the first field (§2.2)': 'GET / HTTP/1.1\r\n Host: a\r\n\r\n',
    'a bare LF between fields': post('A: b\nContent-Length: 3'),
    'a bare LF behind the request line': 'GET / HTTP/1.1\nHost: a\r\n\r\n',
    'a bare CR in a value (§2.2)': post('Content-Length: 3', 'A: b\rc'),
    'a bare CR before the line end': post('Content-Length: 3\r'),
    'a NUL in a value': post('Content-Length: 3', 'A: b\0c'),
    'a control character in a value': post('Content-Length: 3', 'A: \x01'),
    'DEL in a value': post('Content-Length: 3', 'A: \x7f'),
    'a blank before the colon (§5.1)': post('Content-Length : 3'),
    'a tab before the colon': post('Content-Length: 3', 'A\t: b'),
    'no name': post('Content-Length: 3', ': b'),
    'no colon': post('Content-Length: 3', 'A'),
    'a name that is no token': post('Content-Length: 3', 'A(b): c'),
    'a name beyond ASCII': post('Content-Length: 3', '\xe4: c'),
    'an empty line before the request line (§2.2)': `\r\n${get('GET / HTTP/1.1')}`,
    'no Host (§3.2)': 'GET / HTTP/1.1\r\nA: b\r\n\r\n',
    'an empty Host': 'GET / HTTP/1.1\r\nHost: \r\n\r\n',
    'two of Host': get('GET / HTTP/1.1', 'host: b'),
    'a name that stands twice': get('GET / HTTP/1.1', 'A: b', 'a: c'),
    'two lengths': post('Content-Length: 3', 'Content-Length: 3'),
    'two lengths that differ': post('Content-Length: 3', 'content-length: 4'),
    'a list of lengths': post('Content-Length: 3, 3'),
    'a signed length': post('Content-Length: +3'),
    'a length below nought': post('Content-Length: -3'),
    'a length in hex': post('Content-Length: 0x3'),
    'a length with a fraction': post('Content-Length: 3.0'),
    'an exponent for a length': post('Content-Length: 3e0'),
    'an empty length': post('Content-Length:'),
    'blanks in a length': post('Content-Length: 3 3'),
    'a length beyond all numbers': post(`Content-Length: ${'9'.repeat(40)}`),
    'a length in digits of another script': post('Content-Length: \xb3'),
    'a POST without a length': post(),
    'a GET with a body': get('GET / HTTP/1.1', 'Content-Length: 1'),
    'a DELETE with a body': get('DELETE / HTTP/1.1', 'Content-Length: 1'),
    'a chunked body': post('Transfer-Encoding: chunked'),
    'both framings (§6.1)': post('Content-Length: 3', 'Transfer-Encoding: chunked'),
    'both, in the other order': post('Transfer-Encoding: chunked', 'Content-Length: 3'),
    'an encoding that nobody knows': post('Content-Length: 3', 'Transfer-Encoding: xchunked'),
    'an encoding that is none': post('Content-Length: 3', 'Transfer-Encoding:'),
    Expect: post('Content-Length: 3', 'Expect: 100-continue'),
    Upgrade: get('GET / HTTP/1.1', 'Upgrade: h2c'),
    Trailer: post('Content-Length: 3', 'Trailer: a'),
    TE: get('GET / HTTP/1.1', 'TE: trailers'),
    Date: get('GET / HTTP/1.1', 'Date: Sun, 06 Nov 1994 08:49:37 GMT'),
    'a connection that closes (§9.6)': get('GET / HTTP/1.1', 'Connection: close'),
    'a list of connection options': get('GET / HTTP/1.1', 'Connection: keep-alive, Host'),
    'no connection option': get('GET / HTTP/1.1', 'Connection:'),
    'a proxy connection that closes, as Node takes it': get('GET / HTTP/1.1', 'Proxy-Connection: close'),
    'HTTP/1.0': get('GET / HTTP/1.0'),
    'HTTP/1.2': get('GET / HTTP/1.2'),
    'HTTP/0.9': 'GET /\r\n\r\n',
    'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a version in small letters': get('GET / http/1.1'),
    'a method in small letters': get('get / HTTP/1.1'),
    'another method': get('PUT / HTTP/1.1', 'Content-Length: 0'),
    OPTIONS: get('OPTIONS / HTTP/1.1'),
    HEAD: get('HEAD / HTTP/1.1'),
    'absolute-form (§3.2.2)': get('GET http://a/mcp HTTP/1.1'),
    'authority-form (§3.2.3)': get('CONNECT a:80 HTTP/1.1'),
    'asterisk-form (§3.2.4)': get('OPTIONS * HTTP/1.1'),
    'a fragment': get('GET /mcp#a HTTP/1.1'),
    'a target beyond ASCII': get('GET /\xe4 HTTP/1.1'),
    'a blank in the target': get('GET /a b HTTP/1.1'),
    'two blanks': get('GET  / HTTP/1.1'),
    'a tab for a blank': get('GET\t/ HTTP/1.1'),
    'a blank at the end of the line': get('GET / HTTP/1.1 '),
    'a blank before the method': get(' GET / HTTP/1.1'),
  };
  for (const [name, text] of Object.entries(UNUSUAL)) it(name, () => assert.equal(kindOf(text), 'unusual'));
});

describe('bounds', () => {
  /** A head of so many bytes with its end. */
  const headOf = (bytes: number): string => {
    const before = 'GET / HTTP/1.1\r\nHost: a\r\nA: ';
    return `${before}${'x'.repeat(bytes - before.length - 4)}\r\n\r\n`;
  };

  it('a head of 16 kB is read, a longer one is not', () => {
    assert.equal(kindOf(headOf(MAX_HEAD_BYTES)), 'request');
    assert.equal(kindOf(headOf(MAX_HEAD_BYTES + 5)), 'unusual');
  });

  it('a head without an end is waited for up to 16 kB', () => {
    assert.equal(kindOf(headOf(MAX_HEAD_BYTES + 100).slice(0, MAX_HEAD_BYTES)), 'partial');
    assert.equal(kindOf(headOf(MAX_HEAD_BYTES + 100).slice(0, MAX_HEAD_BYTES + 1)), 'unusual');
  });

  it('a request of 64 kB is read, a longer one is not waited for', () => {
    const head = (bytes: number): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`;
    const fits = MAX_PLAIN_BYTES - head(10_000).length;
    const outcome = read(head(fits) + 'x'.repeat(fits));
    assert.equal(outcome.kind, 'request');
    assert.equal(outcome.request.body.length, fits);
    assert.equal(kindOf(head(fits)), 'partial');
    assert.equal(kindOf(head(fits + 1)), 'unusual');
  });

  it('200 fields are read, more are not', () => {
    const fields = (count: number): readonly string[] =>
      Array.from({ length: count - 1 }, (_, index) => `A${index}: b`);
    assert.equal(kindOf(get('GET / HTTP/1.1', ...fields(200))), 'request');
    assert.equal(kindOf(get('GET / HTTP/1.1', ...fields(201))), 'unusual');
  });
});
