/** Real SDK clients whose server stands behind a tap, each in a directory of its own. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LOADER } from '../sources/words.ts';

export const ROOT = path.resolve(import.meta.dirname, '../../..');
export const nodeArguments = (file: string): readonly string[] => [...LOADER, file];
export const CALLS_SERVER = path.join(ROOT, 'test/support/mcp/server.ts');
export const MODERN_PROCESS = path.join(ROOT, 'test/support/mcp/modern-process.ts');
const CLI = path.join(ROOT, 'services/cli/main.ts');

export interface Workplace {
  readonly dataDir: string;
  readonly reachedFile: string;
  /** Names of the tools whose calls reached the server process. */
  reached(): readonly string[];
  remove(): void;
}

export function workplace(): Workplace {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'tripline-capture-'));
  const reachedFile = path.join(dataDir, 'reached.txt');
  return {
    dataDir,
    reachedFile,
    reached: () => {
      try {
        return readFileSync(reachedFile, 'utf8').trim().split('\n');
      } catch {
        return [];
      }
    },
    remove: () => rmSync(dataDir, { recursive: true, force: true }),
  };
}

export interface HostOptions {
  readonly place: Workplace;
  /** Absent: the tap finds the service, its token and its control key in the data directory. */
  readonly url?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly tapArguments?: readonly string[];
  readonly server?: readonly string[];
}

export interface Host {
  readonly client: Client;
  readonly transport: StdioClientTransport;
  stderr(): string;
  close(): Promise<void>;
}

export function tapCommand(options: Pick<HostOptions, 'tapArguments' | 'server'>): {
  readonly command: string;
  readonly args: string[];
} {
  const server = options.server ?? [process.execPath, ...nodeArguments(CALLS_SERVER)];
  const tapArguments = options.tapArguments ?? ['--server', 'calls', '--agent', 'tester'];
  return {
    command: process.execPath,
    args: [...nodeArguments(CLI), 'tap', ...tapArguments, '--', ...server],
  };
}

export function tapEnvironment(options: HostOptions): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    TRIPLINE_DATA_DIR: options.place.dataDir,
    ...(options.url === undefined ? {} : { TRIPLINE_URL: options.url, TRIPLINE_TOKEN: 'test-token' }),
    REACHED_FILE: options.place.reachedFile,
    ...options.env,
  };
}

/** Connects an SDK client through a tap. */
export async function connectThroughTap(options: HostOptions): Promise<Host> {
  const transport = new StdioClientTransport({
    ...tapCommand(options),
    env: tapEnvironment(options),
    stderr: 'pipe',
  });
  let stderr = '';
  transport.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  const client = new Client({ name: 'tester', version: '1.0.0' });
  await client.connect(transport);
  return { client, transport, stderr: () => stderr, close: () => client.close() };
}
