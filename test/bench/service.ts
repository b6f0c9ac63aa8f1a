/** The real service as a process of its own, and a plain client of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { up, type Tripline } from '../support/scenario/tripline.ts';
import { temporaryDir } from './place.ts';

export interface BenchService {
  readonly url: string;
  readonly dataDir: string;
  readonly token: string;
  readonly process: Tripline;
  /** POST; answers status and body. Connections are kept. */
  post(path: string, body: string | Buffer, type?: string): Promise<{ status: number; text: string }>;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** All where it is absent. */
  readonly steps?: string;
  /** The section of the configuration; absent: all shipped rules. */
  readonly rules?: object;
  /** Makes the section of the configuration of that name, given a directory of its own and the data directory. */
  readonly rootLog?: (dir: string, dataDir: string) => Promise<object>;
}

/** No limit on the request rate: the benchmark is one client. */
export async function startService({ steps, rules, rootLog }: ServiceOptions = {}): Promise<BenchService> {
  const { dir, remove } = temporaryDir();
  const dataDir = join(dir, 'data');
  const configFile = join(dir, 'tripline.yaml');
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify({ rules, rootLog: await rootLog?.(dir, dataDir) }));
  const service = up({
    dataDir,
    logFile: join(dir, 'log'),
    configFile,
    ...(steps === undefined ? {} : { steps }),
  });
  const url = await service.url;
  const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  return {
    url,
    dataDir,
    token,
    process: service,
    post: (path, body, type = 'application/json') =>
      post(new URL(path, url), {
        body,
        agent,
        headers: { authorization: `Bearer ${token}`, 'content-type': type },
      }),
    stop: async () => {
      agent.destroy();
      await service.stop();
      remove();
    },
  };
}

export function post(
  url: URL,
  options: {
    readonly body: string | Buffer;
    readonly agent: Agent;
    readonly headers: Record<string, string>;
  },
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { method: 'POST', agent: options.agent, headers: options.headers },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
        );
        answer.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}
