/** A gate before a server that answers at once, and clients of it that write bytes. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { RunningGate } from '../../../services/capture/gate/gate.ts';
import { callOf, gateBefore, plainServer, withBody, type GateSetup } from './gate.ts';
import { ROOT } from './host.ts';
import { openPlace, type Place } from './place.ts';
import { answersIn, postText, rawClient, type RawClient } from './raw-client.ts';

const answerTo = (id: unknown): string => JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } });
export const post = (id: unknown, lines: readonly string[] = [], tool = 'echo'): string =>
  postText('/raw', callOf(id, tool), lines);
/** The same in chunks, which the gate does not read for itself. */
export const chunked = (id: unknown, tool = 'echo'): string => {
  const body = callOf(id, tool);
  const cut = Math.floor(body.length / 2);
  const chunks = [body.slice(0, cut), body.slice(cut), ''].map(
    (part) => `${part.length.toString(16)}\r\n${part}\r\n`,
  );
  return (
    postText('/raw', '', ['Transfer-Encoding: chunked']).replace('Content-Length: 0\r\n', '') +
    chunks.join('')
  );
};

export interface RawSite extends Place {
  readonly gate: RunningGate;
  /** What has come at the server: the ids of calls, or methods without one. */
  readonly reached: unknown[];
  readonly connect: () => Promise<RawClient>;
}

export const cert = (name: string): string => path.join(ROOT, 'test/support/mcp/certificates', `${name}.pem`);

/** The server never answers the tool `stay`. */
export async function rawGate(context: TestContext, setup: Partial<GateSetup> = {}): Promise<RawSite> {
  const place = await openPlace(context);
  const reached: unknown[] = [];
  const serve = withBody((body, request, response) => {
    const { id, params } = JSON.parse(body.toString() || '{}') as {
      readonly id?: unknown;
      readonly params?: { readonly name: string };
    };
    reached.push(id ?? request.method);
    if (params?.name === 'stay') return;
    const text = answerTo(id);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length }).end(text);
  });
  const upstreams = [{ name: 'raw', url: `${await plainServer(context, serve)}/mcp` }];
  const gate = await gateBefore(context, place, { ...setup, config: { ...setup.config, upstreams } });
  const ca = gate.url.startsWith('https:') ? readFileSync(cert('ca')) : undefined;
  return { ...place, gate, reached, connect: () => rawClient(context, gate.url, ca) };
}

/** Of the messages in answers, in their order. */
export const idsIn = (client: RawClient): readonly unknown[] =>
  answersIn(client.received).map(({ body }) => (JSON.parse(body || '{}') as { readonly id?: unknown }).id);

export const piecesOf = (text: string, bytes: number): readonly string[] => {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += bytes) pieces.push(text.slice(at, at + bytes));
  return pieces;
};
