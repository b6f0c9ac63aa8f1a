/** Tools whose calls end in every way that a call can end; served over stdio and over HTTP. */
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { appendFileSync } from 'node:fs';
import { z } from 'zod';

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });
/** Every call that reaches this process is written down by itself, outside of anything under test. */
const reached = (tool: string): void => {
  const file = process.env['REACHED_FILE'];
  if (file !== undefined) appendFileSync(file, `${tool}\n`);
};

/** A tool that changes the list of tools, where CHANGES asks for it. */
function registerChange(server: McpServer): void {
  server.registerTool('change', { inputSchema: {} }, () => {
    reached('change');
    server.registerTool('added', { inputSchema: {} }, () => text('added'));
    return text('changed');
  });
}

export function registerTools(server: McpServer): void {
  server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text: value }, { _meta: meta }) => {
    reached('echo');
    return text(JSON.stringify({ value, meta: meta ?? null }));
  });
  server.registerTool('fail', { inputSchema: {} }, () => {
    reached('fail');
    throw new Error('the tool failed');
  });
  server.registerTool(
    'slow',
    { inputSchema: { ms: z.number(), ignoreCancel: z.boolean().optional() } },
    async ({ ms }) => {
      reached('slow');
      await new Promise((resolve) => setTimeout(resolve, ms));
      return text(`waited ${ms}`);
    },
  );
  server.registerTool('big', { inputSchema: { bytes: z.number() } }, ({ bytes }) => {
    reached('big');
    return text('ä"\\'.repeat(Math.ceil(bytes / 3)).slice(0, bytes));
  });
  server.registerTool('die', { inputSchema: {} }, () => {
    reached('die');
    process.exit(7);
  });
  if (process.env['CHANGES'] !== undefined) registerChange(server);
}
