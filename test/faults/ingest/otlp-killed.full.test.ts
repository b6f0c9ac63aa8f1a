/** A call that waits for the spans above it when its service is killed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { spanIdOf, traceIdOf, traceRequest, type PlainSpan } from '../../support/otlp/build.ts';
import { startOtlpService } from '../../support/otlp/service.ts';
import { killAll, up } from '../../support/scenario/tripline.ts';

const CHILD: PlainSpan = {
  traceId: traceIdOf('t'),
  spanId: spanIdOf('one'),
  parentSpanId: spanIdOf('root'),
  attributes: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'weather' },
};
const byKind = ([a = '']: readonly string[], [b = '']: readonly string[]): number => a.localeCompare(b);

let dir = '';
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'tripline-killed-'));
});
after(async () => {
  await killAll();
  rmSync(dir, { recursive: true });
});

describe('a service that is killed', () => {
  it('right after it acknowledged a call that waits has it on record after the next start', async () => {
    const dataDir = join(dir, 'killed');
    const configFile = join(dir, 'killed.yaml');
    writeFileSync(configFile, 'otlp: { assemblyWaitMs: 60000 }\n');
    const service = up({
      dataDir,
      configFile,
      logFile: join(dir, 'killed.log'),
      steps: 'ingest,record,sign,query,respond',
    });
    const url = await service.url;
    const token = readFileSync(join(dataDir, 'producer.token'), 'utf8').trim();
    const answer = await fetch(`${url}/v1/traces`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(traceRequest([CHILD])),
    });
    assert.equal(answer.status, 200);
    await service.kill();
    const next = await startOtlpService({ dataDir, otlp: { assemblyWaitMs: 100 } });
    try {
      const events = await next.events(2);
      assert.deepEqual(events.map(({ kind, callId }) => [kind, callId]).toSorted(byKind), [
        ['call.intent', CHILD.spanId],
        ['call.result', CHILD.spanId],
      ]);
    } finally {
      await next.stop();
    }
  });
});
