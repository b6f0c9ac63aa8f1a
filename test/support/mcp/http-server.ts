/** The same tools over streamable HTTP with sessions (SDK v1), as a process: prints its port. JSON=1 answers in JSON. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { registerTools } from './tools.ts';

const transports = new Map<string, StreamableHTTPServerTransport>();

async function newTransport(): Promise<StreamableHTTPServerTransport> {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    enableJsonResponse: process.env['JSON'] !== undefined,
    onsessioninitialized: (id) => void transports.set(id, transport),
    onsessionclosed: (id) => void transports.delete(id),
  });
  const server = new McpServer({ name: 'calls', version: '1.0.0' });
  registerTools(server);
  await server.connect(transport as Parameters<typeof server.connect>[0]);
  return transport;
}

const server = http.createServer((request, response) => {
  const id = request.headers['mcp-session-id'];
  const known = typeof id === 'string' ? transports.get(id) : undefined;
  if (id !== undefined && known === undefined) return void response.writeHead(404).end();
  void (async () => {
    const transport = known ?? (await newTransport());
    await transport.handleRequest(request, response);
  })();
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
// It does not outlive the test.
process.stdin.on('end', () => process.exit(0)).resume();
