/** Keeps what passes between two peers of HTTP, as a plain proxy between them. */
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { TestContext } from 'node:test';
import { bodyOf, plainServer } from './gate.ts';

export interface Exchange {
  readonly request: string;
  /** Of the whole answer; absent where it was cut off. */
  response: string | undefined;
}

/** What a proxy has seen: an exchange and a body for each POST. */
export interface HttpCopy {
  readonly url: string;
  readonly exchanges: Exchange[];
  readonly bodies: Buffer[];
  /** Streams that the server has opened for a GET. */
  streams: number;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A proxy before `upstream`. */
export async function copyOfHttp(context: TestContext, upstream: () => string): Promise<HttpCopy> {
  const copy: { -readonly [K in keyof HttpCopy]: HttpCopy[K] } = {
    url: '',
    exchanges: [],
    bodies: [],
    streams: 0,
  };
  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const body = await bodyOf(request);
    const { host: _host, ...headers } = request.headers;
    const exchange: Exchange = { request: sha256(body), response: undefined };
    if (request.method === 'POST') {
      copy.exchanges.push(exchange);
      copy.bodies.push(body);
    }
    const onward = http.request(upstream(), { method: request.method ?? 'GET', headers });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.on('response', (answer) => {
      if (request.method === 'GET' && answer.statusCode === 200) copy.streams++;
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        response.write(chunk);
      });
      answer.on('error', () => response.destroy());
      answer.on('end', () => {
        exchange.response = sha256(Buffer.concat(chunks));
        response.end();
      });
    });
    onward.end(body);
  };
  const url = await plainServer(context, (request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  copy.url = `${url}/mcp`;
  return copy;
}
