/** What stands on record of a body, by hand: digests are of `openssl dgst -sha256 -mac HMAC`. */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { zEvent, type Event } from '../../../schemas/event/v1.ts';
import { KEY, OTHER_KEY, redactorOf, type Recorded } from '../../support/redaction/redactor.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
/** The definition, written down a second time. */
const digestOf = (value: string, key = KEY): string =>
  createHmac('sha256', key).update(`tripline/redaction/value/v1\0${value}`).digest('hex').slice(0, 32);
const SECRET = 'tr4nsit-K3y-9fQx7LmZ2pVw';
const VALUE = { id: 'value', paths: ['$.value'], action: 'digest' };

const eventOf = ({ events }: Recorded): Event => zEvent.parse(events[0]);
const labelsOf = (recorded: Recorded): readonly string[] => eventOf(recorded).labels ?? [];

describe('redaction of a body', () => {
  it('a value at a path becomes a keyed digest; hash and size are of what is on record, the original is keyed', () => {
    const { record } = redactorOf([VALUE]);
    const original = `{ "value" : "${SECRET}", "n": 1.0 }`;
    const event = eventOf(record('result', original));
    const recorded = `{ "value" : "[#${digestOf(SECRET)}]", "n": 1.0 }`;
    assert.equal(event.resultHash, sha256(recorded));
    assert.equal(event.resultBytes, recorded.length);
    assert.deepEqual(event.result, { value: `[#${digestOf(SECRET)}]`, n: 1 });
    assert.ok(event.redaction !== undefined);
    const { places, original: kept, hash, ...redaction } = event.redaction;
    assert.deepEqual(places, [
      {
        at: '/value',
        text: 1,
        start: 0,
        from: 0,
        characters: SECRET.length,
        rule: 'value',
        action: 'digest',
        digest: digestOf(SECRET),
      },
    ]);
    assert.deepEqual(kept, {
      bytes: original.length,
      hmac: createHmac('sha256', KEY).update(`tripline/redaction/original/v1\0${original}`).digest('hex'),
    });
    assert.match(String(hash), /^[0-9a-f]{64}$/);
    assert.deepEqual([redaction.id, redaction.version], ['test', 1]);
    assert.ok(event.labels?.includes('redacted'));
  });
  it('a body in which nothing is found is as it came, byte for byte, and no event says otherwise', () => {
    const { record } = redactorOf([VALUE, { id: 'all', secrets: 'all', action: 'remove' }]);
    const { lines, events } = record('args', '{ "a" : 1.0, "b":"\\u0041" }');
    assert.ok(lines[0]?.endsWith('"args":{ "a" : 1.0, "b":"\\u0041" }}'), lines[0]);
    assert.equal(events[0]?.['redaction'], undefined);
  });
  it('mask keeps the last characters, never more than a quarter; remove keeps none', () => {
    const { record } = redactorOf([
      { id: 'card', secrets: ['card_number'], action: 'mask', keepLast: 4 },
      { id: 'pin', paths: ['$.pin'], action: 'mask', keepLast: 4 },
      { id: 'gone', paths: ['$.gone'], action: 'remove' },
    ]);
    const event = eventOf(
      record('args', '{"card":"4111 1111 1111 1111","pin":12345678,"gone":{"a":[true,null,"x"]}}'),
    );
    assert.deepEqual(event.args, { card: '[*1111]', pin: '[*78]', gone: { a: ['[-]', null, '[-]'] } });
  });
  it('a card has one digest in all spellings', () => {
    const { record } = redactorOf([{ id: 'card', secrets: ['card_number'], action: 'digest' }]);
    const { card, text } = eventOf(
      record('args', '{"card":4111111111111111,"text":"pay with 4111-1111-1111-1111 now"}'),
    ).args as { card: string; text: string };
    assert.equal(card, `[#${digestOf('4111111111111111')}]`);
    assert.equal(text, `pay with ${card} now`);
  });
  it('the value of what is assigned goes, not its name, sign or quotes', () => {
    const { record } = redactorOf([{ id: 'all', secrets: 'all', action: 'remove' }]);
    const event = eventOf(
      record(
        'args',
        JSON.stringify({
          a: 'password = "hunter2-X9!"; user=bob',
          b: 'postgres://bob:s3cr3t-p4ss@db.example/x',
          c: 'Authorization: Bearer q7Zp0LmXw9-Rt5VbNc2KsJh8Gf',
          d: 'key AKIAIOSFODNN7EXAMPLE.',
          password: 'correct4horse7battery',
        }),
      ),
    );
    assert.deepEqual(event.args, {
      a: 'password = "[-]"; user=bob',
      b: 'postgres://bob:[-]@db.example/x',
      c: 'Authorization: Bearer [-]',
      d: 'key [-].',
      password: '[-]',
    });
  });
  it('a private key goes to its last line, and more secrets than detectors tell at once all go', () => {
    const { record } = redactorOf([{ id: 'all', secrets: 'all', action: 'remove' }]);
    const pem = `-----BEGIN RSA PRIVATE KEY-----\n${`${'MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgHcTz6sE2I2yPB'}\n`.repeat(30)}-----END RSA PRIVATE KEY-----`;
    const many = Array.from(
      { length: 40 },
      (_, n) => `AKIAIOSFODNN7EX${'ABCDEFG'[n % 7]}M${'ABCDEFG'[Math.floor(n / 7)]}LE`,
    );
    const event = eventOf(record('args', JSON.stringify({ pem: `x ${pem} y`, many: many.join(' and ') })));
    assert.deepEqual(event.args, { pem: 'x [-] y', many: many.map(() => '[-]').join(' and ') });
  });
  it('own patterns, also in names of members', () => {
    const { record } = redactorOf([
      { id: 'staff', patterns: ['\\bEMP-\\d{6}\\b'], ignoreCase: true, action: 'remove' },
    ]);
    assert.deepEqual(eventOf(record('args', '{"emp-123456":"EMP-654321, EMP-9876543"}')).args, {
      '[-]': '[-], EMP-9876543',
    });
  });
  it('rules hold for their servers, tools and side, and the earlier one decides', () => {
    const { record } = redactorOf([
      { id: 'other', servers: ['db*'], paths: ['$..value'], action: 'remove' },
      { id: 'read', tools: ['resources/*'], paths: ['$..value'], action: 'remove' },
      { id: 'results', of: 'result', tools: ['get_*'], paths: ['$.list[*].value'], action: 'mask' },
      { id: 'late', paths: ['$..value'], action: 'remove' },
    ]);
    const body = '{"list":[{"value":"abc"}]}';
    assert.deepEqual(eventOf(record('result', body)).result, { list: [{ value: '[*]' }] });
    assert.deepEqual(eventOf(record('args', body)).args, { list: [{ value: '[-]' }] });
    const read = eventOf(record('result', body, { tool: undefined, method: 'resources/read' }));
    assert.deepEqual(
      read.redaction?.places?.map(({ rule }) => rule),
      ['read'],
    );
  });
  it('what a rule finds in one place of a body is found in its other places too', () => {
    const { record } = redactorOf([
      { id: 'structured', paths: ['$.structuredContent.value'], action: 'digest' },
    ]);
    const event = eventOf(
      record(
        'result',
        JSON.stringify({
          content: [{ type: 'text', text: JSON.stringify({ value: SECRET }) }],
          structuredContent: { value: SECRET },
        }),
      ),
    );
    const marker = `[#${digestOf(SECRET)}]`;
    assert.deepEqual(event.result, {
      content: [{ type: 'text', text: `{"value":"${marker}"}` }],
      structuredContent: { value: marker },
    });
    assert.ok(event.redaction?.places?.every(({ known }) => known === undefined));
  });
});

describe('values of the session', () => {
  const vault = (): ReturnType<typeof redactorOf> => {
    const made = redactorOf([{ ...VALUE, of: 'result' }]);
    made.record('result', JSON.stringify({ value: SECRET }));
    return made;
  };
  const marker = `[#${digestOf(SECRET)}]`;
  const FORMS: readonly (readonly [string, string])[] = [
    ['as it is', SECRET],
    ['base64', Buffer.from(SECRET).toString('base64')],
    ['hex', Buffer.from(SECRET).toString('hex')],
    ['upper-case hex', Buffer.from(SECRET).toString('hex').toUpperCase()],
    ['every byte percent-encoded', Buffer.from(SECRET).toString('hex').replaceAll(/../g, '%$&')],
    ['backwards', SECRET.split('').toReversed().join('')],
  ];
  for (const [name, form] of FORMS)
    it(`are found again in arguments: ${name}`, () => {
      const event = eventOf(vault().record('args', JSON.stringify({ body: `is ${form}, use it` })));
      assert.deepEqual(event.args, { body: `is ${marker}, use it` });
      assert.equal(event.redaction?.places?.[0]?.known, true);
    });
  it('are found inside base64 of something longer, at each alignment', () => {
    for (const before of ['', 'a', 'ab']) {
      const whole = Buffer.from(`${before}${SECRET}!`).toString('base64');
      const { lines, events } = vault().record('args', JSON.stringify({ whole }));
      const { whole: recorded } = events[0]?.['args'] as { whole: string };
      assert.ok(recorded.includes(marker), recorded);
      assert.ok(
        !Buffer.from(recorded.replace(marker, ''), 'base64').toString('latin1').includes(SECRET.slice(2, 8)),
      );
      assert.ok(!lines.join('').includes(whole));
    }
  });
  it('are found in names, in error messages and in addresses', () => {
    const { redactor } = vault();
    const { fields } = redactor.redact({
      kind: 'call.result',
      timeMs: 0,
      fields: {
        callId: 'c',
        outcome: 'rpc_error',
        error: { code: 1, message: `bad token ${SECRET}` },
        mcp: { uri: `https://x.example/?t=${SECRET}`, requestStateHash: '0'.repeat(64) },
      },
    });
    assert.deepEqual(fields['error'], { code: 1, message: `bad token ${marker}` });
    assert.deepEqual(fields['mcp'], {
      uri: `https://x.example/?t=${marker}`,
      requestStateHash: '0'.repeat(64),
    });
  });
  it('pieces of a text that a path takes whole are known as well', () => {
    const { record } = redactorOf([
      { id: 'text', of: 'result', paths: ['$.content[*].text'], action: 'digest' },
    ]);
    const text = JSON.stringify({ user: 'bob', password: SECRET });
    const got = eventOf(record('result', JSON.stringify({ content: [{ type: 'text', text }] }))).result;
    assert.match(JSON.stringify(got), new RegExp(`\\[#${digestOf(text)}\\].*\\[#${digestOf(SECRET)}\\]`));
    assert.deepEqual(eventOf(record('args', JSON.stringify({ q: SECRET }))).args, { q: marker });
  });
  it('another process of the session knows them, another session does not, another key has other digests', () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'tripline-redaction-'));
    const rules = [{ ...VALUE, of: 'result' }];
    const one = redactorOf(rules, { directory });
    const two = redactorOf(rules, { directory });
    const stranger = redactorOf(rules, { directory, session: 't' });
    const args = JSON.stringify({ q: SECRET });
    assert.deepEqual(eventOf(two.record('args', args)).args, { q: SECRET });
    one.record('result', JSON.stringify({ value: SECRET }));
    assert.deepEqual(eventOf(two.record('args', args)).args, { q: marker });
    assert.deepEqual(eventOf(stranger.record('args', args)).args, { q: SECRET });
    const other = redactorOf(rules, { key: OTHER_KEY });
    const got = eventOf(other.record('result', JSON.stringify({ value: SECRET }))).result;
    assert.deepEqual(got, { value: `[#${digestOf(SECRET, OTHER_KEY)}]` });
    assert.notEqual(digestOf(SECRET, OTHER_KEY), digestOf(SECRET));
    for (const file of readdirSync(directory))
      assert.ok(!readFileSync(path.join(directory, file), 'latin1').includes(SECRET.slice(0, 6)));
  });
  it('words and short values are not looked for, since they say nothing', () => {
    const { record } = redactorOf([{ ...VALUE, of: 'result' }]);
    for (const value of ['production', 'abc', '-------']) record('result', JSON.stringify({ value }));
    const args = { q: 'production abc -------' };
    assert.deepEqual(eventOf(record('args', JSON.stringify(args))).args, args);
  });
  it('a session that knows too many says so', () => {
    const made = redactorOf([{ id: 'v', paths: ['$..v'], action: 'digest' }]);
    const values = (from: number) =>
      JSON.stringify({ v: Array.from({ length: 1_500 }, (_, n) => sha256(`${from + n}`).slice(0, 16)) });
    assert.ok(!labelsOf(made.record('args', values(0))).includes('redaction_unfollowed'));
    assert.ok(labelsOf(made.record('args', values(5_000))).includes('redaction_unfollowed'));
  });
});

describe('what cannot be redacted', () => {
  const CASES: readonly (readonly [string, string, string])[] = [
    ['no_json', 'no JSON', '{"value":"a",}'],
    ['no_json', 'a control character in a string', '{"value":"a\u0001"}'],
    ['too_deep', 'deeper than an event may be', `${'['.repeat(63)}"x"${']'.repeat(63)}`],
  ];
  for (const [why, name, body] of CASES)
    it(`is not on record at all: ${name}`, () => {
      const recorded = redactorOf([{ id: 'all', paths: ['$..*'], action: 'digest' }]).record('args', body);
      const event = eventOf(recorded);
      assert.equal(recorded.lines.length, 1);
      assert.deepEqual([event.args, event.argsHash, event.argsBytes], [undefined, undefined, undefined]);
      assert.equal(event.redaction?.leftOut, why);
      assert.equal(event.redaction.original?.bytes, Buffer.byteLength(body));
      assert.ok(event.labels?.includes('redaction_failed'));
    });
  it('is not on record at all: no UTF-8', () => {
    const { redactor } = redactorOf([VALUE]);
    const bytes = Buffer.from([0x22, 0xff, 0x22]);
    const body = { of: 'args', bytes, span: { start: 0, end: 3 }, hash: '0'.repeat(64) } as const;
    const draft = redactor.redact({
      kind: 'call.intent',
      timeMs: 0,
      fields: { argsHash: '0'.repeat(64) },
      body,
    });
    assert.equal(draft.body, undefined);
    assert.equal(draft.fields['argsHash'], undefined);
  });
});

describe('markers', () => {
  it('that a peer types are no places of the event, and are told', () => {
    const forged = `[#${digestOf(SECRET)}]`;
    const { record } = redactorOf([VALUE]);
    const event = eventOf(record('args', JSON.stringify({ value: SECRET, note: forged })));
    assert.deepEqual(event.args, { value: forged, note: forged });
    assert.deepEqual(
      event.redaction?.places?.map(({ at }) => at),
      ['/value'],
    );
    assert.ok(event.labels?.includes('redaction_lookalike'));
    const plain = record('args', JSON.stringify({ note: forged }));
    assert.deepEqual(eventOf(plain).labels, ['redaction_lookalike']);
  });
});
