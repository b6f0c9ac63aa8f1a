/** POST /v1/events of the real service (steps ingest and respond, embedded bus), 202 = durable; beside a plain HTTP server that parses and fsyncs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { median, result, wallMs, type Bench, type BenchResult } from './bench.ts';
import { eventLine, LINES_PER_RECORD } from './events.ts';
import { temporaryDir } from './place.ts';
import { post, startService } from './service.ts';
import { LOADER } from '../support/sources/words.ts';

const STREAMS_PER_REQUEST = 32;
const REQUESTS = 24;
const CONCURRENT = 4;
const ROUNDS = 5;
const EVENTS = REQUESTS * STREAMS_PER_REQUEST * LINES_PER_RECORD;
const NDJSON = 'application/x-ndjson';

type Send = (body: Buffer) => Promise<{ status: number; text: string }>;

function bodies(round: number): Buffer[] {
  return Array.from({ length: REQUESTS }, (_, at) => {
    const lines = Array.from({ length: STREAMS_PER_REQUEST * LINES_PER_RECORD }, (_line, n) =>
      eventLine(
        { tenant: 'default', run: round },
        at * STREAMS_PER_REQUEST + Math.floor(n / LINES_PER_RECORD),
        n % LINES_PER_RECORD,
      ),
    );
    return Buffer.from(lines.join('\n'));
  });
}

async function eventsPerSecond(all: readonly Buffer[], send: Send): Promise<number> {
  const waiting = [...all];
  let accepted = 0;
  const sender = async (): Promise<void> => {
    for (let body = waiting.pop(); body !== undefined; body = waiting.pop()) {
      const { status, text } = await send(body);
      if (status !== 202) throw new Error(`answered ${status}: ${text.slice(0, 200)}`);
      accepted += (JSON.parse(text) as { accepted: number }).accepted;
    }
  };
  const tookMs = await wallMs(async () => {
    await Promise.all(Array.from({ length: CONCURRENT }, sender));
  });
  if (accepted !== EVENTS) throw new Error(`${accepted} of ${EVENTS} events were accepted`);
  return EVENTS / (tookMs / 1000);
}

async function startPlain() {
  const { dir, remove } = temporaryDir();
  const script = join(import.meta.dirname, 'plain-server.ts');
  const child = spawn(process.execPath, [...LOADER, script, join(dir, 'lines')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const url = new URL(`http://127.0.0.1:${(JSON.parse(String(line)) as { port: number }).port}/`);
  const agent = new Agent({ keepAlive: true });
  const stop = async (): Promise<void> => {
    agent.destroy();
    child.kill('SIGKILL');
    await once(child, 'exit');
    remove();
  };
  const send: Send = (body) => post(url, { body, agent, headers: { 'content-type': NDJSON } });
  return { send, stop };
}

async function run(): Promise<readonly BenchResult[]> {
  const service = await startService({ steps: 'ingest,respond' });
  const plain = await startPlain();
  const ours: number[] = [];
  const theirs: number[] = [];
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const all = bodies(round);
      ours.push(await eventsPerSecond(all, (body) => service.post('/v1/events', body, NDJSON)));
      theirs.push(await eventsPerSecond(all, plain.send));
    }
  } finally {
    await plain.stop();
    await service.stop();
  }
  const measured = { value: median(ours.slice(1)), baseline: median(theirs.slice(1)), unit: 'events/s' };
  const note =
    'wall clock, 1,024 lines a request, 4 at once; baseline: plain HTTP server, JSON.parse, append, fdatasync';
  return [result('ingest_post', measured, note)];
}

export const ingestPost: Bench = { name: 'ingest_post', about: 'POST /v1/events of the real service', run };
