/** moto's S3 (PyPI `moto[server]`) on loopback: TRIPLINE_MOTO names its `moto_server`, else the one on the path. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const PROGRAM = process.env['TRIPLINE_MOTO'] ?? 'moto_server';
const START_MS = 60_000;

/** Why there is no such server; undefined where there is one. */
export function motoMissing(): string | undefined {
  const { error, status } = spawnSync(PROGRAM, ['--help'], { stdio: 'ignore' });
  return error === undefined && status === 0 ? undefined : `no ${PROGRAM} (pip install 'moto[server]')`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface S3Server {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startS3(): Promise<S3Server> {
  const port = await freePort();
  const child: ChildProcess = spawn(PROGRAM, ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode !== null) return;
    child.kill('SIGKILL');
    await exited;
  };
  const endMs = performance.now() + START_MS;
  while (performance.now() < endMs) {
    const answered = await fetch(`${url}/moto-api/`).then(
      () => true,
      () => false,
    );
    if (answered) return { url, stop };
    await sleep(100);
  }
  await stop();
  throw new Error('moto did not answer');
}
