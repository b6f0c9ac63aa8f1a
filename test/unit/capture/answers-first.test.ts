/** Answers go on before they are looked at: which do, and what is on record when. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { isOnlyAnswers, MAX_QUEUED_ANSWERS } from '../../../services/capture/answer-queue.ts';
import { Capture } from '../../../services/capture/capture.ts';
import { NO_BOUNDARY } from '../../../services/capture/labels/boundary.ts';
import { fixedBoundary } from '../../../services/capture/labels/host-labels.ts';
import { silentLog } from '../../../services/capture/log.ts';
import type { Passed } from '../../../services/capture/passed.ts';
import { readSettings, type CaptureSettings } from '../../../services/capture/settings.ts';
import { spooledEvents } from '../../support/capture/spooled.ts';
import { nodeArguments, ROOT, workplace } from '../../support/mcp/host.ts';

const AWAY = 'http://127.0.0.1:9';
const call = (id: number): Buffer =>
  Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: {} } }),
  );
const answer = (id: number, text = 'x'): Buffer =>
  Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } }));
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

async function started(context: TestContext, settings: Partial<CaptureSettings> = {}) {
  const place = workplace();
  const { dataDir } = place;
  const capture = new Capture({
    settings: { ...readSettings({ TRIPLINE_DATA_DIR: dataDir, TRIPLINE_URL: AWAY }), ...settings },
    server: 'calls',
    transport: 'stdio',
    hostPid: process.pid,
    log: silentLog,
    timings: { firstWaitMs: 0, closeTimeoutMs: 0 },
  });
  context.after(async () => {
    await capture.close();
    place.remove();
  });
  await capture.start();
  await turn();
  const pass = (direction: 'to_server' | 'to_client', line: Buffer): Passed => {
    const passed = capture.pass(direction, line);
    assert.ok(!(passed instanceof Promise));
    return passed;
  };
  // The first call waits for the first word of the channel.
  await capture.pass('to_server', call(0));
  const seen = (): readonly string[] => spooledEvents(dataDir).map(({ kind }) => kind);
  return { dataDir, pass, seen };
}

describe('answers that go on first', () => {
  it('are those in which nobody can read a method', () => {
    const lines: readonly [string, boolean][] = [
      ['{"jsonrpc":"2.0","id":1,"result":{}}', true],
      ['{"jsonrpc":"2.0","id":1,"result":{"text":"\\u00e9 \\"method\\" tools/call"}}', true],
      ['{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"method not found"}}', true],
      ['no JSON at all', true],
      ['{"id":1,"method":"tools/call"}', false],
      ['{"id":1,"result":{},"method":"tools/call"}', false],
      ['{"id":1,"result":{},"m\\u0065thod":"tools/call"}', false],
      ['{"id":1,"result":{},"\\u006D\\u0065\\u0074\\u0068\\u006F\\u0064":"tools/call"}', false],
      ['[{"id":1,"result":{}},{"method" : "tools/call"}]', false],
    ];
    for (const [line, expected] of lines) assert.equal(isOnlyAnswers(Buffer.from(line)), expected, line);
  });

  it('none has a method for a parser, however its name is escaped', () => {
    const letter = (character: string): fc.Arbitrary<string> => {
      const hex = character.charCodeAt(0).toString(16).padStart(4, '0');
      return fc.constantFrom(character, `\\u${hex}`, `\\u${hex.toUpperCase()}`);
    };
    const name = fc.tuple(...Array.from('method', letter)).map((letters) => letters.join(''));
    const member = fc.tuple(name, fc.json()).map(([key, value]) => `"${key}":${value}`);
    const members = fc.array(fc.tuple(fc.json(), fc.json()), { maxLength: 3 });
    fc.assert(
      fc.property(member, members, fc.boolean(), (own, others, isBatch) => {
        const rest = others.map(([key, value]) => `${JSON.stringify(key)}:${value}`);
        const object = `{${[...rest, own].join(',')}}`;
        assert.ok(Object.hasOwn(JSON.parse(object) as object, 'method'));
        assert.equal(isOnlyAnswers(Buffer.from(isBatch ? `[{"result":{}},${object}]` : object)), false);
      }),
    );
  });

  it('a call is in the spool when it may leave, an answer when the turn is over', async (context) => {
    const { pass, seen } = await started(context);
    const before = seen();
    assert.deepEqual(before, ['stream.open', 'call.intent']);
    const line = answer(0);
    assert.equal(pass('to_client', line).forward, line, 'the very same bytes');
    assert.deepEqual(seen(), before);
    await turn();
    assert.deepEqual(seen(), [...before, 'call.result']);
  });

  it('what the wire said first has the lower sequence, and every call one result', async (context) => {
    const { dataDir, pass } = await started(context);
    pass('to_server', call(1));
    pass('to_client', answer(0));
    pass('to_server', call(2));
    pass('to_client', answer(2));
    pass('to_client', answer(1));
    const tick = Buffer.from('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}');
    pass('to_client', tick);
    pass('to_server', call(3));
    await turn();
    const events = spooledEvents(dataDir);
    const callIds = [
      ...new Set(events.flatMap(({ callId, kind }) => (kind === 'call.intent' ? [callId] : []))),
    ];
    assert.deepEqual(
      events.map(({ kind, callId }) => `${kind} ${callIds.indexOf(callId)}`),
      [
        'stream.open -1',
        'call.intent 0',
        'call.intent 1',
        'call.result 0',
        'call.intent 2',
        'call.result 2',
        'call.result 1',
        `${events[7]?.kind} -1`,
        'call.intent 3',
      ],
    );
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_, seq) => seq),
    );
  });

  it('a flood of answers in one turn waits for its record once so many are held', async (context) => {
    const { dataDir, pass } = await started(context);
    const calls = 1_000;
    for (let id = 1; id <= calls; id++) pass('to_server', call(id));
    const results = (): number => spooledEvents(dataDir).filter(({ kind }) => kind === 'call.result').length;
    for (let id = 1; id <= calls; id++) pass('to_client', answer(id));
    assert.ok(results() >= calls - MAX_QUEUED_ANSWERS, `${results()} on record`);
    await turn();
    assert.equal(results(), calls);
    // By bytes: the second is only taken once the first is on record.
    for (const id of [calls + 1, calls + 2, calls + 3]) pass('to_server', call(id));
    for (const id of [calls + 1, calls + 2]) pass('to_client', answer(id, 'x'.repeat(1024 * 1024)));
    assert.equal(results(), calls + 1);
  });

  it('wait for their record where the host wants them changed, or held while the spool is full', async (context) => {
    const boundary = fixedBoundary({ ...NO_BOUNDARY, resultMeta: true });
    const all: readonly Partial<CaptureSettings>[] = [{ boundary }, { onSpoolFull: 'block' }];
    for (const settings of all) {
      const { pass, seen } = await started(context, settings);
      pass('to_client', answer(0));
      assert.equal(seen().at(-1), 'call.result');
    }
  });

  it('are on record at the exit of the process, which has no further turn', (context) => {
    const place = workplace();
    context.after(() => place.remove());
    const source = `
      import { Capture } from '${path.join(ROOT, 'services/capture/capture.ts')}';
      import { readSettings } from '${path.join(ROOT, 'services/capture/settings.ts')}';
      const settings = readSettings({ TRIPLINE_DATA_DIR: ${JSON.stringify(place.dataDir)}, TRIPLINE_URL: '${AWAY}' });
      const capture = new Capture({ settings, server: 's', transport: 'stdio', hostPid: 1, log: () => undefined });
      await capture.start();
      await capture.pass('to_server', Buffer.from(${JSON.stringify(call(1).toString())}));
      capture.pass('to_client', Buffer.from(${JSON.stringify(answer(1).toString())}));
      process.exit(3);`;
    const [loader = '', tsx = ''] = nodeArguments('');
    const run = spawnSync(process.execPath, [loader, tsx, '--input-type=module', '-e', source], {
      cwd: ROOT,
    });
    assert.equal(run.status, 3, run.stderr.toString());
    const kinds = spooledEvents(place.dataDir).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['stream.open', 'call.intent', 'call.result']);
  });
});
