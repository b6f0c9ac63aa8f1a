/**
 * The demo's outside world, all of it on loopback: one path stands for the internet and counts what agents post there,
 * the other is the team's webhook, which takes an alert only when its Standard Webhooks signature holds.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export interface OutsideWorld {
  readonly url: string;
  /** Hosts that agents posted to, in order. */
  readonly posts: readonly string[];
  /** Bodies of webhooks whose signature held. */
  readonly pages: readonly unknown[];
  close(): void;
}

const MAX_BODY_BYTES = 1024 * 1024;

export async function openOutsideWorld(webhookSecret: string): Promise<OutsideWorld> {
  const posts: string[] = [];
  const pages: unknown[] = [];
  const webhook = new Webhook(webhookSecret);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    if (request.url !== '/hook') {
      posts.push(String(request.headers['x-demo-host']));
      response.writeHead(200).end();
      return;
    }
    try {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      );
      pages.push(webhook.verify(body, headers));
      response.writeHead(204).end();
    } catch {
      response.writeHead(401).end();
    }
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, posts, pages, close: () => server.close() };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new RangeError('body over the limit');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
