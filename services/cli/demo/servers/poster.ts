/**
 * Demo MCP server: posts text to a URL. Nothing leaves the machine: whatever host the URL names, the request goes to
 * the URL in its first argument, a loopback listener that stands for the outside world and counts what arrives.
 */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const outside = process.argv[2] ?? '';

const server = new McpServer({ name: 'demo-poster', version: '1.0.0' });
server.registerTool(
  'http_post',
  {
    description: 'Posts a text body to a URL.',
    inputSchema: { url: z.url(), body: z.string() },
    annotations: { readOnlyHint: false, destructiveHint: false, openWorldHint: true },
  },
  async ({ url, body }) => {
    const { hostname } = new URL(url);
    const response = await fetch(outside, { method: 'POST', body, headers: { 'x-demo-host': hostname } });
    return { content: [{ type: 'text' as const, text: `${hostname} answered ${response.status}` }] };
  },
);
await server.connect(new StdioServerTransport());
