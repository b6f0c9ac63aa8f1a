/** redaction check, key, test and prove: exit codes, places, and what is shown. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readRedactionKey } from '../../../services/capture/redaction/key.ts';
import { zRedaction } from '../../../schemas/redaction/v1.ts';
import { newRedactor } from '../../support/redaction/redactor.ts';
import { openFiles } from './files.ts';
import { tripline } from './harness.ts';

const RULES = [{ id: 'value', paths: ['$.value'], action: 'digest' }];
const REDACTION = `v: 1
id: desk
version: 2
rules:
  - { id: value, paths: ['$.value'], action: digest }
`;

describe('tripline redaction', () => {
  const { directory, file } = openFiles();
  const good = file('good.yaml', REDACTION);

  it('check: every fault with its line', async () => {
    const { exitCode, out } = await tripline({}, ['redaction', 'check', good]);
    assert.equal(exitCode, 0);
    assert.match(out, /^ok {4}desk version 2, rules: 1, [0-9a-f]{64}$/mu);
    // Comments, order and what is a default do not change what is on record.
    const same = file(
      'same.json',
      JSON.stringify({ version: 2, rules: RULES, follow: true, id: 'desk', v: 1 }),
    );
    assert.equal((await tripline({}, ['redaction', 'check', same])).out, out);
    const faults = file(
      'bad.yaml',
      `${REDACTION}  - { id: value, paths: ['value', '$[?(@.a)]'], action: digest, keepLast: 3 }
  - { id: slow, patterns: ['(a+)+', 'ab', '\\d{0,60}\\d{0,60}abc'], action: hide, more: 1 }
  - { id: none, action: remove }
`,
    );
    const bad = await tripline({}, ['redaction', 'check', faults]);
    assert.equal(bad.exitCode, 1);
    for (const line of [
      /:6: rules\[1\]\.paths\[0\]: must begin with \$/u,
      /:6: rules\[1\]\.paths\[1\]: is no path that is understood, from character 2 on/u,
      /:7: rules\[2\]\.patterns\[0\]: has something that is not allowed/u,
      /:7: rules\[2\]\.patterns\[1\]: must match at least 3 characters/u,
      /:7: rules\[2\]\.patterns\[2\]: has too many repeats of open length/u,
      /:7: rules\[2\]\.action: /u,
      /:7: rules\[2\]\.more: unknown key/u,
    ])
      assert.match(bad.out, line);
  });

  it('key: a file for its owner alone, never written over', async () => {
    const key = path.join(directory, 'redaction.key');
    const { exitCode, items } = await tripline({}, ['redaction', 'key', key, '--json']);
    assert.equal(exitCode, 0);
    assert.equal(statSync(key).mode & 0o777, 0o600);
    assert.equal(items()[0]?.['keyId'], readRedactionKey(key).keyId);
    assert.equal((await tripline({}, ['redaction', 'key', key])).exitCode, 2);
  });

  it('test: bodies and events as they would be on record, values of earlier ones known', async () => {
    const event = (seq: number, body: object): string =>
      JSON.stringify({
        v: 1,
        stream: 'a'.repeat(32),
        seq,
        nonce: 'b'.repeat(32),
        time: '2026-01-31T12:00:00.000Z',
        session: 's',
        agent: 'bot',
        callId: 'c',
        tool: 't',
        ...body,
      });
    const events = file(
      'events.ndjson',
      [
        event(0, { kind: 'call.result', outcome: 'ok', result: { value: 'tr4nsit-K3y-9fQx7LmZ2pVw' } }),
        event(1, { kind: 'call.intent', args: { q: 'is tr4nsit-K3y-9fQx7LmZ2pVw' } }),
        event(2, { kind: 'call.intent', args: { q: 'nothing' } }),
      ].join('\n'),
    );
    const { items } = await tripline({}, ['redaction', 'test', good, events, '--json']);
    const [result, args, none] = items() as {
      outcome: string;
      body: Record<string, string>;
      places: object[];
    }[];
    assert.match(String(result?.body['value']), /^\[#[0-9a-f]{32}\]$/);
    assert.equal(args?.body['q'], `is ${String(result?.body['value'])}`);
    assert.equal(none?.outcome, 'same');
    const body = file('body.json', '{"value":"x1y2z3"}');
    const shown = await tripline({}, ['redaction', 'test', good, body, '--of', 'result', '--tool', 't']);
    assert.match(shown.out, /redacted {2}result[^]*\/value {2}value {2}digest/u);
  });

  it('prove: 0 for the truth, 1 for anything else, 2 where there is nothing to prove', async () => {
    const keyFile = path.join(directory, 'prove.key');
    await tripline({}, ['redaction', 'key', keyFile]);
    const policy = zRedaction.parse({ v: 1, id: 'desk', version: 2, rules: RULES });
    const { record } = newRedactor(policy, readRedactionKey(keyFile));
    const body = '{"value":"tr4nsit-K3y-9fQx7LmZ2pVw"}';
    const event = file('event.ndjson', record('result', body).lines.join('\n'));
    const original = file('original.json', body);
    const prove = (over: readonly string[]) =>
      tripline({}, [
        'redaction',
        'prove',
        good,
        '--key',
        keyFile,
        '--event',
        event,
        '--original',
        original,
        ...over,
      ]);
    const proved = await prove([]);
    assert.deepEqual([proved.exitCode, proved.err], [0, '']);
    assert.match(proved.out, /^proved {4}0{32}-0: 1 places$/mu);
    const other = await prove(['--original', file('other.json', body.replace('K3y', 'K4y'))]);
    assert.equal(other.exitCode, 1);
    assert.match(other.out, /refuted .*\[other_original\]/u);
    assert.equal((await prove(['--id', `${'0'.repeat(32)}-7`])).exitCode, 2);
  });
});
