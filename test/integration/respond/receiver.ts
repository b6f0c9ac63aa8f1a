/** A webhook receiver on loopback that checks signatures with the reference library, and can be told to misbehave. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export const SECRET = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;

export interface Delivery {
  readonly id: string;
  readonly path: string;
  readonly body: string;
  readonly atMs: number;
  readonly isVerified: boolean;
}

/** How one request is answered: a status, or something ruder. */
export type Answer =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Taken, and the connection is cut before the answer. */
  | 'lost'
  | 'hang';

export interface Receiver {
  readonly url: string;
  readonly deliveries: Delivery[];
  /** Decides per request; default 204. */
  answer: (delivery: Delivery, count: number) => Answer | Promise<Answer>;
  close(): Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const deliveries: Delivery[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const delivery: Delivery = {
      id: String(request.headers['webhook-id']),
      path: request.url ?? '',
      body,
      atMs: performance.now(),
      isVerified: isVerified(request, body),
    };
    deliveries.push(delivery);
    const answer = await receiver.answer(delivery, deliveries.length);
    if (answer === 'lost') request.socket.destroy();
    else if (answer !== 'hang') response.writeHead(answer.status, answer.headers).end('ok');
  };
  const server = createServer((request, response) => {
    handle(request, response).catch(() => request.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}`,
    deliveries,
    answer: () => ({ status: 204 }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return receiver;
}

/** The library checks the time against the wall clock; a schedule that a test runs faster is ahead of it. */
function isVerified(request: IncomingMessage, body: string): boolean {
  const headers = request.headers as Record<string, string>;
  const timestamp = Number(headers['webhook-timestamp']);
  try {
    new Webhook(SECRET).verify(body, headers);
    return true;
  } catch {
    const expected = new Webhook(SECRET).sign(headers['webhook-id'] ?? '', new Date(timestamp * 1000), body);
    return timestamp * 1000 > Date.now() + 60_000 && headers['webhook-signature'] === expected;
  }
}
