/** A client of the MCP SDK under Traceloop's instrumentation, exporting as OTEL_* says: argument 2 is the server's file. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { trace } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { McpInstrumentation } from '@traceloop/instrumentation-mcp';
import { LOADER } from '../../sources/words.ts';

const server = process.argv[2];
if (server === undefined) throw new Error('the server file is missing');
const sdk = new NodeSDK({ instrumentations: [] });
sdk.start();
new McpInstrumentation().manuallyInstrument({ Client });

await trace.getTracer('host').startActiveSpan('agent turn', async (span) => {
  span.setAttribute('gen_ai.agent.name', 'mcp-host');
  const client = new Client({ name: 'host', version: '1' });
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [...LOADER, server],
      stderr: 'ignore',
    }),
  );
  await client.callTool({ name: 'echo', arguments: { text: 'hello' } });
  await client.callTool({ name: 'fail', arguments: {} });
  await client.close();
  span.end();
});
await sdk.shutdown();
