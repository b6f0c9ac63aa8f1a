/** Events of many principals, each of whom says something that nobody else says; and where on disk it is found. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, type Dirent } from 'node:fs';
import { join } from 'node:path';

export interface Person {
  readonly principal: string;
  readonly session: string;
  /** Stands in arguments and result of the person's calls. */
  readonly said: string;
}

export function person(number: number): Person {
  return {
    principal: `person-${number}@example.org`,
    session: `session-of-${number}`,
    said: `word-of-${createHash('sha256').update(String(number)).digest('hex').slice(0, 24)}-${number}.`,
  };
}

/** An intent and its result, as lines of one stream; `life` tells streams of the same person apart. */
export function linesOf({ principal, session, said }: Person, life = 0): string[] {
  const stream = createHash('sha256').update(`${principal} ${life}`).digest('hex').slice(0, 32);
  const common = {
    v: 1,
    session,
    agent: 'helper',
    principal,
    host: 'h',
    server: 'files',
    transport: 'stdio',
    tool: 'read_file',
    callId: stream,
  };
  const time = new Date().toISOString();
  const nonce = (seq: number): string =>
    createHash('sha256').update(`${stream} ${seq}`).digest('hex').slice(0, 32);
  return [
    {
      ...common,
      kind: 'call.intent',
      stream,
      seq: 0,
      nonce: nonce(0),
      time,
      args: { path: `/home/${said}` },
    },
    {
      ...common,
      kind: 'call.result',
      stream,
      seq: 1,
      nonce: nonce(1),
      time,
      result: { content: [{ type: 'text', text: `the file of ${said}` }] },
      outcome: 'ok',
      durationMs: 1,
    },
  ].map((event) => JSON.stringify(event));
}

/** Files below `dir` in whose bytes any of the texts stands. */
export function filesHolding(dir: string, texts: readonly string[]): string[] {
  return filesHoldingBytes(
    dir,
    texts.map((text) => Buffer.from(text)),
  );
}

export function filesHoldingBytes(dir: string, wanted: readonly Uint8Array[]): string[] {
  return filesBelow(dir).filter((path) => {
    const bytes = readOrNothing(path);
    return wanted.some((one) => bytes.indexOf(one) >= 0);
  });
}

/** Folder by folder: a running service removes folders and files while they are listed. */
function filesBelow(dir: string): string[] {
  return entriesOf(dir).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

function entriesOf(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch {
    return [];
  }
}

function readOrNothing(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
