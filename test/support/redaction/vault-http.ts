/** The vault over streamable HTTP, in this process; a server for each request, as it keeps no sessions. */
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { TestContext } from 'node:test';
import { plainServer } from '../mcp/gate.ts';
import { vaultServer } from './vault.ts';

/** Its URL; closed after the test. */
export async function vaultOverHttp(
  context: TestContext,
  ...vault: Parameters<typeof vaultServer>
): Promise<string> {
  const base = await plainServer(context, (request, response) => {
    const serve = async (): Promise<void> => {
      const transport = new StreamableHTTPServerTransport();
      await vaultServer(...vault).connect(transport);
      await transport.handleRequest(request, response);
    };
    serve().catch(() => response.destroy());
  });
  return `${base}/mcp`;
}
