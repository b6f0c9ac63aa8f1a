/**
 * A server of SDK v2 as a process, with tools that end a call in every way: `stdio`, where it serves both eras, or `http`,
 * where it prints its port.
 */
import { createMcpHandler, inputRequired, inputResponse, type McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { listenerOf, newModernServer } from './modern-server.ts';

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });
const NOTHING = z.object({});
const PROMPT = {
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'p' } }],
  maxTokens: 8,
};
let changed = false;

function addTool(server: McpServer): void {
  server.registerTool('added', { inputSchema: NOTHING }, () => text('added'));
}

/** `onChange` is told when a call has changed the list of tools. */
function newServer(onChange: (server: McpServer) => void): McpServer {
  const server = newModernServer({ reached: [], cancelled: [], headers: [] });
  if (changed) addTool(server);
  server.registerTool('ask_model', { inputSchema: NOTHING }, (_args, context) => {
    const answer = inputResponse(context.mcpReq.inputResponses, 'model');
    if (answer.kind === 'sampling') return text(`asked: ${JSON.stringify(answer.result.content)}`);
    return inputRequired({ inputRequests: { model: inputRequired.createMessage(PROMPT) } });
  });
  server.registerTool('big', { inputSchema: z.object({ bytes: z.number() }) }, ({ bytes }) =>
    text('ä"\\'.repeat(Math.ceil(bytes / 3)).slice(0, bytes)),
  );
  server.registerTool('change', { inputSchema: NOTHING }, () => {
    changed = true;
    onChange(server);
    return text('changed');
  });
  server.registerTool(
    'steps',
    { inputSchema: z.object({ count: z.number() }) },
    async ({ count }, context) => {
      const { _meta: meta, signal, notify } = context.mcpReq;
      const progressToken = meta?.progressToken;
      for (let progress = 1; progress <= count && !signal.aborted; progress++) {
        if (progressToken !== undefined)
          await notify({ method: 'notifications/progress', params: { progressToken, progress } });
        await sleep(50);
      }
      return text(`${count} steps`);
    },
  );
  server.registerTool('die', { inputSchema: NOTHING }, () => process.exit(7));
  return server;
}

if (process.argv[2] === 'stdio') serveStdio(() => newServer(addTool));
else {
  const handler = createMcpHandler(() => newServer(() => handler.notify.toolsChanged()));
  const server = http.createServer(listenerOf(handler));
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
  });
  // It does not outlive the test.
  process.stdin.on('end', () => process.exit(0)).resume();
}
