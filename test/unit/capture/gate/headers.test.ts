/** Headers against bodies: the examples of MCP 2026-07-28 (Streamable HTTP, "Value Encoding"), and places of x-mcp-header. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { claimsOf } from '../../../../services/capture/gate/claims.ts';
import {
  decodedHeader,
  isModern,
  mismatchedHeaders,
} from '../../../../services/capture/gate/header-check.ts';
import { paramHeadersOf } from '../../../../services/capture/gate/param-headers.ts';
import { readLine } from '../../../../services/capture/message.ts';

describe('header values', () => {
  for (const [header, value] of [
    ['us-west1', 'us-west1'],
    ['=?base64?SGVsbG8sIOS4lueVjA==?=', 'Hello, 世界'],
    ['=?base64?IHBhZGRlZCA=?=', ' padded '],
    ['=?base64?bGluZTEKbGluZTI=?=', 'line1\nline2'],
    ['=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=', '=?base64?literal?='],
    ['=?BASE64?YQ==?=', '=?BASE64?YQ==?='],
    ['=?base64?YQ?=', undefined],
    ['=?base64?//79?=', undefined],
  ] as const) {
    it(`${header} is ${JSON.stringify(value)}`, () => assert.equal(decodedHeader(header), value));
  }
});

describe('annotations of parameters', () => {
  it('count where only properties lead, on texts, integers and booleans', () => {
    const annotated = (type: string, name: string) => ({ type, 'x-mcp-header': name });
    const schema = {
      type: 'object',
      properties: {
        region: annotated('string', 'Region'),
        nested: { type: 'object', properties: { deep: annotated('integer', 'Deep') } },
        list: { type: 'array', items: annotated('string', 'InItems') },
        number: annotated('number', 'Number'),
        bad: annotated('string', 'a b'),
      },
      anyOf: [{ properties: { other: annotated('string', 'Other') } }],
    };
    assert.deepEqual(paramHeadersOf(schema), [
      { header: 'mcp-param-region', path: ['region'] },
      { header: 'mcp-param-deep', path: ['nested', 'deep'] },
    ]);
  });

  const params = [
    { header: 'mcp-param-n', path: ['a', 'n'] },
    { header: 'mcp-param-b', path: ['b'] },
  ];
  const base = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 't' };
  const check = (args: object, headers: Readonly<Record<string, string>>) => {
    const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
    const message = { id: 1, method: 'tools/call', params: { name: 't', arguments: args, _meta: meta } };
    const { messages } = readLine(Buffer.from(JSON.stringify(message)));
    return mismatchedHeaders(messages, { ...base, ...headers }, () => params);
  };

  for (const [name, args, headers, mismatched] of [
    ['equal', { a: { n: 42 }, b: true }, { 'mcp-param-n': '42.0', 'mcp-param-b': 'true' }, []],
    ['null and absent need none', { a: {}, b: null }, {}, []],
    ['a value without its header', { a: { n: 1 }, b: false }, { 'mcp-param-n': '1' }, ['mcp-param-b']],
    ['a header without its value', {}, { 'mcp-param-n': '1' }, ['mcp-param-n']],
    ['another number', { a: { n: 1 } }, { 'mcp-param-n': '2' }, ['mcp-param-n']],
    ['a number that is none', { a: { n: 0 } }, { 'mcp-param-n': ' ' }, ['mcp-param-n']],
    ['a text for a boolean', { b: 'True' }, { 'mcp-param-b': 'true' }, ['mcp-param-b']],
    ['unknown ones are ignored', {}, { 'mcp-param-x': '1' }, []],
  ] as const) {
    it(name, () => assert.deepEqual(check(args, headers), mismatched));
  }
});

describe('the era of a request', () => {
  const call = (meta: object) =>
    readLine(Buffer.from(JSON.stringify({ id: 1, method: 'tools/list', params: { _meta: meta } }))).messages;

  it('is told by header or by body; older requests need no headers', () => {
    const inBody = call({ 'io.modelcontextprotocol/protocolVersion': '2026-07-28' });
    assert.equal(isModern(inBody, {}), true);
    assert.equal(isModern(call({}), { 'mcp-protocol-version': '2026-07-28' }), true);
    assert.equal(isModern(call({}), { 'mcp-protocol-version': '2025-11-25' }), false);
    const older = { 'mcp-protocol-version': '2025-11-25' };
    assert.deepEqual(
      mismatchedHeaders(call({}), older, () => []),
      [],
    );
    assert.deepEqual(
      mismatchedHeaders(call({}), { ...older, 'mcp-method': 'x' }, () => []),
      ['mcp-method'],
    );
    assert.deepEqual(
      mismatchedHeaders(inBody, older, () => []),
      ['mcp-protocol-version', 'mcp-method'],
    );
  });
});

describe('claims of a token', () => {
  const token = (claims: unknown): string =>
    `Bearer h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;

  it('are bounded, cleaned, and none where there is no JWT', () => {
    assert.deepEqual(claimsOf(token({ sub: 'a\u0000b', azp: 'c', scp: ['r', 'w'], exp: 1, x: {} })), {
      sub: 'a\uFFFDb',
      clientId: 'c',
      scope: 'r w',
    });
    assert.equal(claimsOf(token({ iss: 'i'.repeat(9_999) }))?.iss?.length, 512);
    assert.equal(claimsOf(token({ aud: Array.from({ length: 99 }, String) }))?.aud?.length, 16);
    for (const none of [undefined, 'Bearer opaque', 'Basic a.b.c', 'Bearer a.%%%.c', token('text')])
      assert.equal(claimsOf(none), undefined);
  });
});
