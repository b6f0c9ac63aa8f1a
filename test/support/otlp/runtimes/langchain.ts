/** A LangChain run with two tools under OpenInference's instrumentation, exporting as OTEL_* says. */
import { LangChainInstrumentation } from '@arizeai/openinference-instrumentation-langchain';
import * as callbackManager from '@langchain/core/callbacks/manager';
import { RunnableLambda } from '@langchain/core/runnables';
import { tool } from '@langchain/core/tools';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { z } from 'zod';

const sdk = new NodeSDK({ instrumentations: [] });
sdk.start();
new LangChainInstrumentation().manuallyInstrument(callbackManager);

const weather = tool(({ city }: { city: string }) => `18 in ${city}`, {
  name: 'weather',
  description: 'weather',
  schema: z.object({ city: z.string() }),
});
const deleteFile = tool(
  () => {
    throw new Error('EACCES');
  },
  { name: 'delete_file', description: 'delete', schema: z.object({ path: z.string() }) },
);

const run = RunnableLambda.from(async (_input: string, config) => {
  await weather.invoke({ type: 'tool_call', id: 'call_1', name: 'weather', args: { city: 'Paris' } }, config);
  await deleteFile.invoke({ path: '/etc' }, config).catch(() => undefined);
  return 'done';
});
await run.invoke('weather?', {
  runName: 'ops',
  metadata: { session_id: 'sess-9', lc_agent_name: 'ops_agent', user_id: 'u-7' },
});
await sdk.shutdown();
