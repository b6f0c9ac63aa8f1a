/** A run of OpenAI's agents SDK under OpenInference's instrumentation, exporting as OTEL_* says; its model is a script. */
import { OpenAIAgentsInstrumentation } from '@arizeai/openinference-instrumentation-openai-agents';
import * as agents from '@openai/agents';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { z } from 'zod';
import { LOADER } from '../../sources/words.ts';

const server = process.argv[2];
if (server === undefined) throw new Error('the server file is missing');
const sdk = new NodeSDK({ instrumentations: [] });
sdk.start();
new OpenAIAgentsInstrumentation().manuallyInstrument(agents);

const call = (name: string, args: object) => ({
  type: 'function_call' as const,
  callId: `call_${name}`,
  name,
  status: 'completed' as const,
  arguments: JSON.stringify(args),
});
const said = {
  type: 'message' as const,
  role: 'assistant' as const,
  status: 'completed' as const,
  content: [{ type: 'output_text' as const, text: 'done' }],
};
const turns = [
  [call('weather', { city: 'Paris' }), call('delete_file', { path: '/etc' })],
  [call('echo', { text: 'via MCP' }), call('fail', {})],
  [said],
];
const model: agents.Model = {
  getResponse: () => Promise.resolve({ usage: new agents.Usage(), output: turns.shift() ?? [said] }),
  getStreamedResponse: () => {
    throw new Error('this run does not stream');
  },
};

const weather = agents.tool({
  name: 'weather',
  description: 'weather',
  parameters: z.object({ city: z.string() }),
  execute: ({ city }) => `18 in ${city}`,
});
const deleteFile = agents.tool({
  name: 'delete_file',
  description: 'delete',
  parameters: z.object({ path: z.string() }),
  execute: () => {
    throw new Error('EACCES');
  },
});
const mcp = new agents.MCPServerStdio({
  name: 'calls',
  command: process.execPath,
  args: [...LOADER, server],
});
await mcp.connect();
const agent = new agents.Agent({ name: 'ops', model, tools: [weather, deleteFile], mcpServers: [mcp] });
await agents.run(agent, 'weather?');
await mcp.close();
await sdk.shutdown();
