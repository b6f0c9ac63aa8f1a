/** Everything that an SDK client and the reference server can say to each other, whatever stands between them. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import assert from 'node:assert/strict';
import path from 'node:path';
import { ROOT } from './host.ts';

export const EVERYTHING = path.join(
  ROOT,
  'node_modules/@modelcontextprotocol/server-everything/dist/index.js',
);
export const TYPED = 'TYPED-BY-A-PERSON';
export const URL_WITH_TOKEN = 'https://login.example/session/ONE-TIME-TOKEN';

/** Answers sampling, elicitation and roots. */
export function answeringClient(): Client {
  const client = new Client(
    { name: 'tester', version: '1.0.0' },
    { capabilities: { sampling: {}, roots: {}, elicitation: { form: {}, url: {} } } },
  );
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'm',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: 'sampled' },
  }));
  client.setRequestHandler(ElicitRequestSchema, ({ params }) =>
    params.mode === 'url' ? { action: 'decline' } : { action: 'accept', content: { name: TYPED } },
  );
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///workspace' }] }));
  return client;
}

/** Says it, and closes the client; answers the URI that was read. */
export async function talk(client: Client): Promise<string> {
  const call = (name: string, args: Record<string, unknown> = {}) =>
    client.callTool({ name, arguments: args });
  await client.listTools();
  const { resources } = await client.listResources();
  const uri = resources[0]?.uri ?? '';
  await client.readResource({ uri });
  await client.subscribeResource({ uri });
  await client.getPrompt({ name: 'simple-prompt' });
  const ref = { type: 'ref/prompt', name: 'completable-prompt' } as const;
  await client.complete({ ref, argument: { name: 'department', value: 'E' } });
  await client.setLoggingLevel('error');
  await call('get-structured-content', { location: 'Chicago' });
  await call('trigger-sampling-request', { prompt: 'hello' });
  await call('trigger-elicitation-request');
  await call('trigger-url-elicitation', { url: URL_WITH_TOKEN });
  const onprogress = (): void => undefined;
  const steps = { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } };
  await client.callTool(steps, undefined, { onprogress });
  const task = client.experimental.tasks.callToolStream(
    { name: 'simulate-research-query', arguments: { topic: 'bees' } },
    CallToolResultSchema,
  );
  for await (const message of task) assert.notEqual(message.type, 'error', JSON.stringify(message));
  await client.close();
  return uri;
}
