/** A small MCP server on stdio, written with the official SDK, whose tools end in every way that a call can end. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { registerTools } from './tools.ts';

const server = new McpServer({ name: 'calls', version: '1.0.0' });
registerTools(server);

// The SDK's stdio servers do not end when their input does.
if (process.env['STUBBORN'] === undefined) process.stdin.on('end', () => process.exit(0));
else setInterval(() => undefined, 1_000);

await server.connect(new StdioServerTransport());
