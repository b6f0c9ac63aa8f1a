/** A server of MCP 2026-07-28 (SDK v2) on loopback: no sessions, every request on its own. */
import {
  acceptedContent,
  createMcpHandler,
  inputRequired,
  McpServer,
  type McpHttpHandler,
} from '@modelcontextprotocol/server';
import http from 'node:http';
import { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { z } from 'zod';
import { bodyOf, plainServer } from './gate.ts';

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });
const CONFIRMATION = z.object({ confirm: z.boolean() });

export interface ModernServer {
  readonly url: string;
  /** Calls that reached it, and those whose work was cancelled. */
  readonly reached: string[];
  readonly cancelled: string[];
  /** Headers of each POST. */
  readonly headers: http.IncomingHttpHeaders[];
}

type Seen = Pick<ModernServer, 'reached' | 'cancelled' | 'headers'>;

/** The server with our tools; what it sees it puts down in `seen`. */
export function newModernServer(seen: Seen): McpServer {
  const server = new McpServer({ name: 'modern', version: '1.0.0' });
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text: value }) => {
    seen.reached.push('echo');
    return text(value);
  });
  server.registerTool('slow', { inputSchema: z.object({ ms: z.number() }) }, async ({ ms }, context) => {
    seen.reached.push('slow');
    const { signal } = context.mcpReq;
    await context.mcpReq.notify({
      method: 'notifications/progress',
      params: { progressToken: 1, progress: 1 },
    });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        seen.cancelled.push('slow');
        resolve();
      });
    });
    return text(`waited ${ms}`);
  });
  server.registerTool('deploy', { inputSchema: z.object({ env: z.string() }) }, ({ env }, context) => {
    seen.reached.push('deploy');
    const confirmed = acceptedContent(context.mcpReq.inputResponses, 'confirm', CONFIRMATION);
    if (confirmed?.confirm === true) return text(`deployed to ${env}`);
    const confirm = inputRequired.elicit({ message: `Deploy to ${env}?`, requestedSchema: CONFIRMATION });
    return inputRequired({ inputRequests: { confirm } });
  });
  server.registerTool(
    'query',
    { inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }), sql: z.string() }) },
    ({ region }) => {
      seen.reached.push('query');
      return text(region);
    },
  );
  return server;
}

/** Serves a handler of the SDK to plain HTTP; a client that is gone aborts what it asked for. */
export function listenerOf(
  handler: McpHttpHandler,
  seen?: Pick<ModernServer, 'headers'>,
): http.RequestListener {
  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    seen?.headers.push(request.headers);
    const body = await bodyOf(request);
    const abort = new AbortController();
    response.on('close', () => abort.abort());
    const answer = await handler.fetch(
      new Request(`http://127.0.0.1${request.url ?? ''}`, {
        method: request.method ?? 'GET',
        headers: request.headers as Record<string, string>,
        signal: abort.signal,
        ...(body.length === 0 ? {} : { body }),
      }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body === null) return void response.end();
    const from = Readable.fromWeb(answer.body);
    from.on('error', () => response.destroy());
    from.pipe(response);
  };
  return (request, response) => {
    serve(request, response).catch(() => response.destroy());
  };
}

export async function modernServer(context: TestContext): Promise<ModernServer> {
  const seen: { -readonly [K in keyof ModernServer]: ModernServer[K] } = {
    url: '',
    reached: [],
    cancelled: [],
    headers: [],
  };
  const handler = createMcpHandler(() => newModernServer(seen));
  const base = await plainServer(context, listenerOf(handler, seen));
  context.after(() => handler.close());
  seen.url = `${base}/mcp`;
  return seen;
}
