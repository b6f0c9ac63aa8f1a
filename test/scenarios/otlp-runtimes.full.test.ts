/** Runtimes as they come from npm, pointed at a service by OpenTelemetry's own environment variables and nothing else. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { startOtlpService, type OtlpService, type RecordedEvent } from '../support/otlp/service.ts';
import { LOADER } from '../support/sources/words.ts';

const run = promisify(execFile);
const RUNTIMES = join(import.meta.dirname, '../support/otlp/runtimes');
const SERVER = join(import.meta.dirname, '../support/mcp/server.ts');

let dir = '';
let door: OtlpService;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tripline-otlp-'));
  door = await startOtlpService({ dataDir: dir });
});
after(async () => {
  await door.stop();
  rmSync(dir, { recursive: true });
});

/** Runs a runtime to its end; answers what came on record meanwhile. */
async function record(runtime: string, calls: number, protocol: string, args: readonly string[] = []) {
  const known = new Set((await door.events(0)).map(({ id }) => id));
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('OTEL_'));
  await run(process.execPath, [...LOADER, join(RUNTIMES, runtime), ...args], {
    timeout: 120_000,
    env: {
      ...Object.fromEntries(own),
      OTEL_EXPORTER_OTLP_ENDPOINT: door.service.otlpUrl ?? '',
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${door.token}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_SERVICE_NAME: 'runtime-under-test',
    },
  });
  const events = await door.events(known.size + 2 * calls);
  const mine = events.filter(({ id }) => !known.has(id));
  return {
    results: mine.filter(({ kind }) => kind === 'call.result'),
    intents: mine.length - mine.filter(({ kind }) => kind === 'call.result').length,
  };
}

const told = (results: readonly RecordedEvent[]) =>
  results
    .map(({ tool, outcome, agent }) => [tool, outcome, agent])
    .toSorted(([a = ''], [b = '']) => a.localeCompare(b));

describe('runtimes from npm', () => {
  for (const protocol of ['http/protobuf', 'http/json']) {
    it(`Vercel AI SDK with @ai-sdk/otel over ${protocol}`, async () => {
      const { results, intents } = await record('vercel-ai.ts', 2, protocol);
      assert.deepEqual(told(results), [
        ['delete_file', 'tool_error', 'weather-agent'],
        ['weather', 'ok', 'weather-agent'],
      ]);
      assert.equal(intents, 2);
      assert.equal(new Set(results.map(({ session }) => session)).size, 1, 'one run is one session');
    });
  }

  it('LangChain under OpenInference', async () => {
    const { results, intents } = await record('langchain.ts', 2, 'http/protobuf');
    assert.deepEqual(told(results), [
      ['delete_file', 'tool_error', 'ops_agent'],
      ['weather', 'ok', 'ops_agent'],
    ]);
    assert.equal(intents, 2);
    assert.deepEqual(new Set(results.map(({ session }) => session)), new Set(['sess-9']));
  });

  it('the MCP SDK under Traceloop', async () => {
    const { results, intents } = await record('mcp.ts', 2, 'http/protobuf', [SERVER]);
    assert.deepEqual(told(results), [
      ['echo', 'ok', 'mcp-host'],
      ['fail', 'tool_error', 'mcp-host'],
    ]);
    assert.equal(intents, 2);
  });

  it("OpenAI's agents SDK under OpenInference: listing the tools of an MCP server is no call", async () => {
    const { results, intents } = await record('openai-agents.ts', 4, 'http/protobuf', [SERVER]);
    assert.deepEqual(told(results), [
      ['delete_file', 'tool_error', 'ops'],
      ['echo', 'ok', 'ops'],
      // The MCP server answered isError, and nothing in the span says so.
      ['fail', 'ok', 'ops'],
      ['weather', 'ok', 'ops'],
    ]);
    assert.equal(intents, 4);
    assert.equal(new Set(results.map(({ session }) => session)).size, 1, 'one run is one session');
  });
});
