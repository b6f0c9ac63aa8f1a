/** What is in the spool of a real tap, however and whenever it ends: a call before its server sees it, an answer that its host has seen. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { spooledEvents } from '../../support/capture/spooled.ts';
import { ROOT, tapCommand, tapEnvironment, workplace, type Workplace } from '../../support/mcp/host.ts';
import { openPlace } from '../../support/mcp/place.ts';

/** Answers each call; `kill`: ends its tap in the moment in which it sees a call, `exit`: itself behind its first answer. */
const SERVER = `const mode = process.argv[1];
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line);
  if (method !== 'tools/call') return;
  if (mode === 'kill') { process.kill(process.ppid, 'SIGKILL'); process.exit(); }
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } }) + '\\n');
  if (mode === 'exit') process.exit(7);
}).on('close', () => process.exit());`;
const AWAY = 'http://127.0.0.1:9';
const CALL = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { n: 1 } } };

type Mode = 'kill' | 'exit' | 'stay';

/** One call through a tap that sends to `url`; `then` ends the tap once its answer is there. */
async function callOnce(place: Workplace, mode: Mode, then: (tap: ChildProcess) => void, url = AWAY) {
  const { command, args } = tapCommand({ server: [process.execPath, '-e', SERVER, '--', mode] });
  const tap = spawn(command, args, {
    cwd: ROOT,
    env: tapEnvironment({ place, url }),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(tap, 'exit');
  tap.stdin.on('error', () => undefined);
  tap.stdout.once('data', () => then(tap));
  tap.stdin.write(`${JSON.stringify(CALL)}\n`);
  await ended;
}

/** Kinds of the events that one call leaves in the spool. */
async function spooledAfter(mode: Mode, then: (tap: ChildProcess) => void) {
  const place = workplace();
  try {
    await callOnce(place, mode, then);
    return spooledEvents(place.dataDir).map(({ kind, outcome }) =>
      outcome === undefined ? kind : `${kind} ${outcome}`,
    );
  } finally {
    place.remove();
  }
}

const ANSWERED = ['stream.open', 'call.intent', 'call.result ok', 'stream.close'];

describe('order of the record and the wire', { concurrency: 2 }, () => {
  it('a tap that is killed in the moment in which the server sees the call: the next tap sends it', async (context) => {
    const { place, receiver } = await openPlace(context);
    await callOnce(place, 'kill', () => undefined);
    await callOnce(
      place,
      'stay',
      (tap) => {
        const whole = receiver.until(() => receiver.of('stream.close').length === 1);
        void whole.then(() => tap.stdin?.end());
      },
      receiver.url,
    );
    const killed = receiver.of('stream.close')[0]?.stream;
    const events = receiver.events.filter(({ stream }) => stream === killed);
    // Whether the call was on record or in the journal when its tap was killed is a matter of milliseconds.
    assert.deepEqual(
      events.map(({ kind, outcome }) => [kind, outcome]),
      [
        ['stream.open', undefined],
        ['call.intent', undefined],
        ['call.result', 'abandoned'],
        ['stream.close', undefined],
      ],
    );
    assert.deepEqual(events[2]?.labels, ['writer_crashed']);
    assert.deepEqual(events[1]?.args, { n: 1 });
  });

  it('an answer is on record when its server ends behind it', async () => {
    assert.deepEqual(await spooledAfter('exit', () => undefined), ANSWERED);
  });

  it('an answer is on record when the host ends its input at once', async () => {
    assert.deepEqual(await spooledAfter('stay', ({ stdin }) => void stdin?.end()), ANSWERED);
  });

  it('an answer is on record when the host sends SIGTERM at once', async () => {
    assert.deepEqual(await spooledAfter('stay', (tap) => void tap.kill('SIGTERM')), ANSWERED);
  });
});
