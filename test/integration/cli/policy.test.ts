/** policy check and policy test: exit codes, places, and what recorded calls would have met. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { openFiles } from './files.ts';
import { tripline } from './harness.ts';

const POLICY = `v: 1
id: desk
version: 2
mode: shadow
allow:
  - { id: reading, classes: [file_read] }
  - { id: prod-delete, environments: [prod], classes: [delete] }
approvals:
  - { id: deletes, classes: [delete] }
`;
const event = (seq: number, over: object): string =>
  JSON.stringify({
    v: 1,
    kind: 'call.intent',
    stream: 'a'.repeat(32),
    seq,
    nonce: 'b'.repeat(32),
    time: '2026-01-31T12:00:00.000Z',
    session: 's',
    agent: 'bot',
    callId: `${seq}`,
    server: 'files',
    ...over,
  });

describe('tripline policy', () => {
  const { directory, file } = openFiles();

  it('check: a fault fails with its line, a warning only where it is asked to', async () => {
    const good = file('good.yaml', POLICY);
    const warned = await tripline({}, ['policy', 'check', good]);
    assert.equal(warned.exitCode, 0);
    assert.match(warned.out, /WARN .*good\.yaml:6: no call of these classes is allowed: search, /u);
    assert.match(warned.out, /^ok {4}desk version 2, shadow, [0-9a-f]{64}$/mu);
    assert.equal((await tripline({}, ['policy', 'check', '--strict', good])).exitCode, 1);
    const bad = file(
      'bad.yaml',
      POLICY.replace('mode: shadow', 'mode: off').replace('classes: [delete]', 'class: [delete]'),
    );
    const { exitCode, out } = await tripline({}, ['policy', 'check', bad]);
    assert.equal(exitCode, 1);
    assert.match(out, /bad\.yaml:4: mode: /u);
    assert.match(out, /bad\.yaml:7: allow\[1\]\.class: unknown key/u);
    assert.equal((await tripline({}, ['policy', 'check', path.join(directory, 'none')])).exitCode, 2);
  });

  it('test: says which recorded calls would not have been let go', async () => {
    const policy = file('policy.yaml', POLICY);
    const events = file(
      'events.ndjson',
      [
        event(0, { tool: 'read_file', class: 'file_read' }),
        event(1, { tool: 'delete_file', class: 'delete' }),
        event(2, { tool: 'send', class: 'message' }),
        event(3, { kind: 'call.result', tool: 'send', outcome: 'ok' }),
        event(4, {
          kind: 'mcp.request',
          method: 'resources/read',
          class: 'file_read',
          mcp: { sender: 'client' },
        }),
        event(5, { kind: 'mcp.request', method: 'sampling/createMessage', mcp: { sender: 'server' } }),
      ].join('\n'),
    );
    const run = async (...more: string[]): Promise<unknown> => {
      const { items } = await tripline({}, ['policy', 'test', policy, '--events', events, '--json', ...more]);
      return items().map(({ tool, effect, rule, allow, refuse, approve }) =>
        tool === undefined ? [allow, refuse, approve] : [tool, effect, rule],
      );
    };
    assert.deepEqual(await run(), [
      ['delete_file', 'refuse', 'default'],
      ['send', 'refuse', 'default'],
      [2, 2, 0],
    ]);
    assert.deepEqual(await run('--environment', 'prod'), [
      ['delete_file', 'approve', 'approvals/deletes'],
      ['send', 'refuse', 'default'],
      [2, 1, 1],
    ]);
  });
});
