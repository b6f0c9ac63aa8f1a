/** Lines go on before they are looked at: which do, and what is in the journal and on record when. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { MAX_QUEUED_LINES } from '../../../services/capture/line-queue.ts';
import { signsOf } from '../../../services/capture/line-signs.ts';
import { Capture } from '../../../services/capture/capture.ts';
import { NO_BOUNDARY } from '../../../services/capture/labels/boundary.ts';
import { fixedBoundary } from '../../../services/capture/labels/host-labels.ts';
import { silentLog } from '../../../services/capture/log.ts';
import { JOURNAL_FILE, MAX_JOURNALLED_BYTES } from '../../../services/capture/recorder/line-parts.ts';
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
const CALL_IN_JOURNAL = /"method":"tools\/call"/u;
const isOnlyAnswers = (line: Buffer): boolean => signsOf('to_client', line).isOnlyAnswers;
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await turn();
};
function journalFile(dataDir: string): string {
  const spool = path.join(dataDir, 'spool');
  const [stream = ''] = readdirSync(spool);
  return path.join(spool, stream, JOURNAL_FILE);
}
const journalText = (dataDir: string): string => readFileSync(journalFile(dataDir), 'latin1');

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
  const looked = (): void => void capture.counts;
  return { dataDir, pass, seen, looked, capture };
}

describe('lines that go on first', () => {
  it('answers are those in which nobody can read a method', () => {
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

  it('no answer has a method for a parser, however its name is escaped', () => {
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

  it('each line is in the journal when it may leave, and on record when the connection is quiet', async (context) => {
    const { dataDir, pass, seen } = await started(context);
    assert.deepEqual(seen(), ['stream.open']);
    assert.match(journalText(dataDir), CALL_IN_JOURNAL);
    const line = answer(0, 'a text of the answer');
    assert.equal(pass('to_client', line).forward, line, 'the very same bytes');
    assert.ok(journalText(dataDir).includes(line.toString()), 'the answer is in the journal');
    assert.deepEqual(seen(), ['stream.open'], 'nothing waits for the record');
    await until(() => seen().length === 3);
    assert.deepEqual(seen(), ['stream.open', 'call.intent', 'call.result']);
  });

  it('while lines keep coming, the first does not wait for ever', async (context) => {
    const { pass, seen } = await started(context);
    let id = 0;
    await until(() => {
      pass('to_server', call(++id));
      return seen().length > 1;
    });
    assert.ok(id > 1, `${id} calls`);
  });

  it('what a person is asked and types is in no journal', async (context) => {
    const { dataDir, pass, looked } = await started(context);
    const typed = 'correct horse battery staple';
    const asked = 'https://auth.example/once/f00ba4';
    const message = (of: object): Buffer => Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...of }));
    const content = { password: typed };
    const retried = { name: 'echo', inputResponses: { a: { action: 'accept', content } } };
    const escaped = message({ id: 8, method: 'tools/call', params: retried }).toString();
    const inputRequests = {
      a: { method: 'elicitation/create', params: { mode: 'url', url: asked, message: 'm' } },
    };
    const lines: readonly ['to_server' | 'to_client', Buffer][] = [
      ['to_server', message({ id: 'e', result: { action: 'accept', content } })],
      ['to_server', message({ id: 7, method: 'tools/call', params: retried })],
      ['to_server', Buffer.from(escaped.replace('inputResponses', String.raw`\u0069nputResponses`))],
      ['to_client', message({ id: 7, result: { resultType: 'input_required', inputRequests } })],
      ['to_client', message({ id: 8, error: { code: -32042, data: { elicitations: [{ url: asked }] } } })],
    ];
    for (const [direction, line] of lines) {
      assert.equal(pass(direction, line).forward, line);
      for (const text of [typed, asked]) assert.ok(!journalText(dataDir).includes(text), line.toString());
    }
    looked();
    for (const file of readdirSync(path.join(dataDir, 'spool'), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(?:ndjson|journal)$/u.test(file)) continue;
      const text = readFileSync(path.join(dataDir, 'spool', file), 'utf8');
      assert.ok(!text.includes(typed), file);
    }
  });

  it('what is to be done after a line is done before the next one is looked at', async (context) => {
    const { capture, dataDir, pass, seen, looked } = await started(context);
    looked();
    const before = seen().length;
    const done: string[] = [];
    capture.afterLook(() => done.push(`at once, ${seen().length - before}`));
    pass('to_server', call(1));
    capture.afterLook(() => capture.endCalls(['to_server n:1'], { outcome: 'abandoned', final: true }));
    // The client uses the id again, as it may.
    pass('to_server', call(1));
    pass('to_client', answer(1));
    looked();
    assert.deepEqual(done, ['at once, 0']);
    const ended = spooledEvents(dataDir).slice(before);
    assert.deepEqual(
      ended.map(({ kind, outcome }) => [kind, outcome]),
      [
        ['call.intent', undefined],
        ['call.result', 'abandoned'],
        ['call.intent', undefined],
        ['call.result', 'ok'],
      ],
    );
  });

  it('that holds when few are looked at in a turn, and the doing wants all looked at', async (context) => {
    const { capture, dataDir, pass, looked } = await started(context);
    looked();
    const before = spooledEvents(dataDir).length;
    const calls = 40;
    for (let id = 1; id <= calls; id++) pass('to_server', call(id));
    for (let id = 1; id <= calls; id++) {
      pass('to_client', answer(id));
      capture.afterLook(() =>
        capture.endCalls(capture.unanswered([`to_server n:${id}`]), { outcome: 'abandoned', final: true }),
      );
    }
    const ended = (): readonly unknown[] =>
      spooledEvents(dataDir)
        .slice(before)
        .flatMap(({ outcome }) => outcome ?? []);
    await until(() => ended().length >= calls);
    assert.deepEqual(ended(), Array(calls).fill('ok'));
  });

  it('a call is on record when it may leave where lines cannot wait for it', async (context) => {
    const bytes = MAX_JOURNALLED_BYTES + 1;
    const all: readonly Partial<CaptureSettings>[] = [
      { spoolFsync: true },
      { injectTrace: true },
      { hold: { classes: new Set(), budgetMs: 1, onTimeout: 'open' } },
    ];
    for (const settings of all) {
      const { dataDir, seen } = await started(context, settings);
      assert.deepEqual(seen(), ['stream.open', 'call.intent'], JSON.stringify(settings));
      assert.equal(existsSync(journalFile(dataDir)), false, 'no journal');
    }
    const { pass, seen, looked } = await started(context);
    looked();
    const before = seen();
    pass('to_server', Buffer.concat([call(1), Buffer.alloc(bytes, ' ')]));
    assert.deepEqual(seen(), [...before, 'call.intent'], 'too long for the journal');
  });

  it('what the wire said first has the lower sequence, and every call one result', async (context) => {
    const { dataDir, pass, looked } = await started(context);
    pass('to_server', call(1));
    pass('to_client', answer(0));
    pass('to_server', call(2));
    pass('to_client', answer(2));
    pass('to_client', answer(1));
    const tick = Buffer.from('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}');
    pass('to_client', tick);
    pass('to_server', call(3));
    looked();
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

  it('a flood of lines in one turn waits for its record once so many are held', async (context) => {
    const { dataDir, pass, looked } = await started(context);
    const calls = 1_000;
    for (let id = 1; id <= calls; id++) pass('to_server', call(id));
    const results = (): number => spooledEvents(dataDir).filter(({ kind }) => kind === 'call.result').length;
    for (let id = 1; id <= calls; id++) pass('to_client', answer(id));
    assert.ok(results() >= calls - MAX_QUEUED_LINES, `${results()} on record`);
    looked();
    assert.equal(results(), calls);
    // By bytes: the second is only taken once the first is on record.
    for (const id of [calls + 1, calls + 2, calls + 3]) pass('to_server', call(id));
    for (const id of [calls + 1, calls + 2]) pass('to_client', answer(id, 'x'.repeat(1024 * 1024)));
    assert.equal(results(), calls + 1);
  });

  it('answers wait for their record where the host wants them changed, or held while the spool is full', async (context) => {
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
    const run = spawnSync(process.execPath, [...nodeArguments('--input-type=module'), '-e', source], {
      cwd: ROOT,
    });
    assert.equal(run.status, 3, run.stderr.toString());
    const kinds = spooledEvents(place.dataDir).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['stream.open', 'call.intent', 'call.result']);
  });
});
