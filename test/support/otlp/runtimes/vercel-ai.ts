/** An agent on Vercel's AI SDK with a model of its own, exporting as OTEL_* says: two calls, one of which fails. */
import { OpenTelemetry } from '@ai-sdk/otel';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { generateText, registerTelemetry, stepCountIs, tool } from 'ai';
import { MockLanguageModelV4 } from 'ai/test';
import { z } from 'zod';

const sdk = new NodeSDK({ instrumentations: [] });
sdk.start();
registerTelemetry(new OpenTelemetry());

type Answer = Awaited<ReturnType<MockLanguageModelV4['doGenerate']>>;
const usage: Answer['usage'] = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined },
};
const toolCall = (toolCallId: string, toolName: string, input: object) => ({
  type: 'tool-call' as const,
  toolCallId,
  toolName,
  input: JSON.stringify(input),
});
const answers: Answer[] = [
  {
    content: [
      toolCall('call_1', 'weather', { city: 'Paris' }),
      toolCall('call_2', 'delete_file', { path: '/etc' }),
    ],
    finishReason: { unified: 'tool-calls', raw: undefined },
    usage,
    warnings: [],
  },
  {
    content: [{ type: 'text', text: 'done' }],
    finishReason: { unified: 'stop', raw: undefined },
    usage,
    warnings: [],
  },
];

await generateText({
  model: new MockLanguageModelV4({ doGenerate: answers }),
  prompt: 'weather?',
  stopWhen: stepCountIs(3),
  telemetry: { functionId: 'weather-agent' },
  tools: {
    weather: tool({
      description: 'weather',
      inputSchema: z.object({ city: z.string() }),
      execute: ({ city }) => ({ city, tempC: 18 }),
    }),
    delete_file: tool({
      description: 'delete',
      inputSchema: z.object({ path: z.string() }),
      execute: (): string => {
        throw new Error('EACCES');
      },
    }),
  },
});
await sdk.shutdown();
