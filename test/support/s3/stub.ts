/**
 * An S3 bucket on loopback that checks each request as AWS documents it (Signature Version 4, Content-MD5, conditional
 * writes) and meets one of them with a fault. Knows PutObject and GetObject of one bucket.
 */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const CREDENTIALS = { accessKeyId: 'copy', secretAccessKey: 'secret' } as const;
const REGION = 'us-east-1';

/** `stored` is what the client cannot know: whether a PUT took effect. */
export const FAULTS = {
  'answers 503': { stored: false, end: 503 },
  'answers 403': { stored: false, end: 403 },
  'stores, then answers 500': { stored: true, end: 500 },
  'breaks off': { stored: false, end: 'break' },
  'stores, then breaks off': { stored: true, end: 'break' },
  'never answers': { stored: false, end: 'hang' },
  'stores, never answers': { stored: true, end: 'hang' },
  'sends half an answer': { stored: true, end: 'half' },
  'sends half an answer, then hangs': { stored: true, end: 'drip' },
} as const satisfies Record<string, { stored: boolean; end: number | 'break' | 'hang' | 'half' | 'drip' }>;
export type Fault = keyof typeof FAULTS;

export interface Bucket {
  readonly url: string;
  /** By key: every body that was stored under it, in order. */
  readonly objects: ReadonlyMap<string, readonly Buffer[]>;
  /** Requests so far under a prefix. */
  count(prefix: string): number;
  /** Puts all that is under one prefix under another, as it was put there. */
  copy(from: string, to: string): void;
  /** Meets the `at`th request (from 1) under `prefix` with `fault`. */
  fail(prefix: string, at: number, fault: Fault): void;
  stop(): Promise<void>;
}

const sha256Hex = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** "Signature Version 4 signing process" of the AWS reference, from the request as it came over the wire. */
function assertSigned(request: IncomingMessage, body: Buffer): void {
  const { headers } = request;
  const authorization = headers.authorization ?? '';
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/u.exec(
      authorization,
    );
  assert.ok(match, authorization);
  const [, id, day = '', region, names = '', signature] = match;
  assert.deepEqual([id, region], [CREDENTIALS.accessKeyId, REGION]);
  const claimed = String(headers['x-amz-content-sha256']);
  assert.ok(claimed === 'UNSIGNED-PAYLOAD' || claimed === sha256Hex(body), 'x-amz-content-sha256');
  const date = String(headers['x-amz-date']);
  assert.ok(date.startsWith(day));
  const signed = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const canonical = `${request.method}\n${request.url}\n\n${signed.join('')}\n${names}\n${claimed}`;
  const scope = `${day}/${REGION}/s3/aws4_request`;
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256Hex(canonical)}`;
  const key = [day, REGION, 's3', 'aws4_request'].reduce<string | Buffer>(
    hmac,
    `AWS4${CREDENTIALS.secretAccessKey}`,
  );
  assert.equal(signature, hmac(key, text).toString('hex'));
}

function answerWith(response: ServerResponse, status: number, body: Buffer): void {
  response.writeHead(status, { 'content-length': body.length }).end(body);
}

function breakWith(response: ServerResponse, fault: Fault, body: Buffer): void {
  const { end } = FAULTS[fault];
  if (typeof end === 'number') return answerWith(response, end, Buffer.from('<Error/>'));
  if (end === 'hang') return;
  if (end === 'break') return void response.socket?.destroy();
  const half = Buffer.concat([body, Buffer.from('<more/>')]);
  response.writeHead(200, { 'content-length': half.length });
  response.write(half.subarray(0, half.length / 2), () => {
    if (end === 'half') response.socket?.destroy();
  });
}

export async function startBucket(): Promise<Bucket> {
  const objects = new Map<string, Buffer[]>();
  const counts = new Map<string, number>();
  const faults = new Map<string, Fault>();
  const wrong: unknown[] = [];

  function put(request: IncomingMessage, key: string, body: Buffer): number {
    assert.equal(request.headers['content-md5'], createHash('md5').update(body).digest('base64'));
    const kept = objects.get(key) ?? [];
    if (request.headers['if-none-match'] === '*' && kept.length > 0) return 412;
    objects.set(key, [...kept, body]);
    return 200;
  }

  function get(key: string): { status: number; content: Buffer } {
    const content = objects.get(key)?.at(-1);
    return content === undefined
      ? { status: 404, content: Buffer.from('<Code>NoSuchKey</Code>') }
      : { status: 200, content };
  }

  function take(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const [, prefix = '', key = ''] = /^\/evidence\/([^/]*\/)(.*)$/u.exec(request.url ?? '') ?? [];
    assertSigned(request, body);
    const count = (counts.get(prefix) ?? 0) + 1;
    counts.set(prefix, count);
    const fault = faults.get(`${prefix}${count}`);
    const takesEffect = fault === undefined || FAULTS[fault].stored;
    const { status, content } =
      request.method === 'PUT'
        ? { status: takesEffect ? put(request, prefix + key, body) : 200, content: Buffer.alloc(0) }
        : get(prefix + key);
    if (fault === undefined) answerWith(response, status, content);
    else breakWith(response, fault, content);
  }

  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      try {
        take(request, response, Buffer.concat(parts));
      } catch (error) {
        wrong.push(error);
        answerWith(response, 400, Buffer.alloc(0));
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    count: (prefix) => counts.get(prefix) ?? 0,
    copy: (prefix, to) => {
      for (const [key, bodies] of objects)
        if (key.startsWith(prefix)) objects.set(to + key.slice(prefix.length), bodies);
    },
    fail: (prefix, at, fault) => void faults.set(`${prefix}${at}`, fault),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      assert.deepEqual(wrong, [], 'requests that S3 would not take');
    },
  };
}
