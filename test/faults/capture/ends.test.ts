/** How a tap and its server end: signals, a host that is gone, kill -9. The server is a small program that says its pid. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { nodeArguments, ROOT, tapCommand, tapEnvironment, workplace } from '../../support/mcp/host.ts';

const TAP_MODULE = path.join(ROOT, 'services/capture/tap/main.ts');
const NOWHERE = 'http://127.0.0.1:9';

/** Runs until it is ended; `heeds`: what it does at SIGTERM. */
function serverThat(heeds: 'exits with 5' | 'ignores'): readonly string[] {
  const onTerm = heeds === 'ignores' ? '() => {}' : '() => process.exit(5)';
  const script = `process.on('SIGTERM', ${onTerm}); process.stdin.resume(); setInterval(() => {
    if (process.env.CHATTY) console.log('{}') }, 50); console.log(JSON.stringify({ pid: process.pid }))`;
  return [process.execPath, '-e', script];
}

async function tapBefore(
  context: TestContext,
  server: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly tap: ChildProcess; readonly serverPid: number; readonly ended: Promise<unknown[]> }> {
  const place = workplace();
  const { command, args } = tapCommand({ server });
  const tap = spawn(command, args, {
    cwd: ROOT,
    env: tapEnvironment({ place, url: NOWHERE, env }),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(tap, 'exit');
  const [line] = (await once(createInterface({ input: tap.stdout }), 'line')) as [string];
  const { pid: serverPid } = JSON.parse(line) as { pid: number };
  context.after(() => {
    tap.kill('SIGKILL');
    if (isAlive(serverPid)) process.kill(serverPid, 'SIGKILL');
    place.remove();
  });
  return { tap, serverPid, ended };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilGone(pid: number): Promise<void> {
  const deadlineMs = Date.now() + 60_000;
  while (isAlive(pid)) {
    assert.ok(Date.now() < deadlineMs, 'the server is still there');
    await sleep(50);
  }
}

describe('ends', { skip: process.platform === 'win32', concurrency: 2 }, () => {
  it('SIGTERM is passed on, and the exit code of the server is the exit code of the tap', async (context) => {
    const { tap, serverPid, ended } = await tapBefore(context, serverThat('exits with 5'));
    tap.kill('SIGTERM');
    assert.deepEqual(await ended, [5, null]);
    assert.equal(isAlive(serverPid), false);
  });

  it('a server that ignores SIGTERM is killed', async (context) => {
    const { tap, serverPid, ended } = await tapBefore(context, serverThat('ignores'));
    tap.kill('SIGTERM');
    assert.deepEqual(await ended, [128 + 9, null]);
    assert.equal(isAlive(serverPid), false);
  });

  it('a host that reads no more (EPIPE) ends tap and server', async (context) => {
    const { tap, serverPid, ended } = await tapBefore(context, serverThat('exits with 5'), { CHATTY: '1' });
    tap.stdout?.destroy();
    assert.deepEqual(await ended, [5, null]);
    assert.equal(isAlive(serverPid), false);
  });

  for (const heeds of ['exits with 5', 'ignores'] as const) {
    it(`a tap killed with -9 leaves no server behind that ${heeds} at SIGTERM`, async (context) => {
      const { tap, serverPid } = await tapBefore(context, serverThat(heeds));
      tap.kill('SIGKILL');
      await untilGone(serverPid);
    });
  }

  it('a tap whose recording thread has ended lets nothing more through, and ends with its server', async (context) => {
    const place = workplace();
    context.after(() => place.remove());
    const module = `import { parentPort } from 'node:worker_threads';
      parentPort.postMessage({ kind: 'ready' }); parentPort.on('message', () => process.exit(0));`;
    const program = `import { runTap } from ${JSON.stringify(pathToFileURL(TAP_MODULE).href)};
      const module = new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(module)}`)});
      process.exitCode = await runTap(process.argv.slice(1), process.env, process, module);`;
    const server = `require('node:fs').writeFileSync(process.env.REACHED_FILE, String(process.pid));
      process.stdin.resume(); setInterval(() => console.log('{"jsonrpc":"2.0","method":"x"}'), 20);`;
    const loader = nodeArguments('--input-type=module');
    const args = [...loader, '-e', program, '--', '--server', 'x', '--', process.execPath, '-e', server];
    const tap = spawn(process.execPath, args, {
      cwd: ROOT,
      env: tapEnvironment({ place, url: NOWHERE }),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    context.after(() => tap.kill('SIGKILL'));
    const output = [tap.stdout, tap.stderr].map((stream) => text(stream));
    const [code] = (await once(tap, 'exit')) as [number];
    const [passed, said] = await Promise.all(output);
    assert.deepEqual([code, passed], [1, '']);
    assert.match(said ?? '', /the recording thread ended with 0/u);
    await untilGone(Number(place.reached()[0]));
  });
});
