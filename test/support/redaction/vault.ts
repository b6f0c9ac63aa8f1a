/** A vault that gives one value, and a tool that posts to the outside. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';

const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] });

/** `posted` is told each body that reached the server. */
export function vaultServer(value: string, posted: (body: string) => void): McpServer {
  const server = new McpServer({ name: 'vault', version: '1.0.0' });
  server.registerTool('read_secret', { inputSchema: { path: z.string() } }, () =>
    text(JSON.stringify({ user: 'deploy', password: value })),
  );
  server.registerTool('http_post', { inputSchema: { url: z.string(), body: z.string() } }, ({ body }) => {
    posted(body);
    return text('posted');
  });
  return server;
}
