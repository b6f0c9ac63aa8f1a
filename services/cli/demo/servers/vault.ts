/** Demo MCP server: a vault with one made-up secret. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const SECRETS: ReadonlyMap<string, string> = new Map([['deploy/prod', 'demo-secret-7Qm2Zx-not-real']]);

const server = new McpServer({ name: 'demo-vault', version: '1.0.0' });
server.registerTool(
  'read_secret',
  {
    description: 'Reads a secret by its path.',
    inputSchema: { path: z.string() },
    annotations: { readOnlyHint: true, openWorldHint: false },
  },
  ({ path }) => {
    const value = SECRETS.get(path);
    return value === undefined
      ? { isError: true, content: [{ type: 'text' as const, text: `no secret at ${path}` }] }
      : { content: [{ type: 'text' as const, text: value }] };
  },
);
await server.connect(new StdioServerTransport());
