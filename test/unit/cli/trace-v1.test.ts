import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { zEvent } from '../../../schemas/event/v1.ts';
import { traceCallLines, zTraceCall } from '../../../services/cli/trace-v1.ts';

const CALL = {
  trace_id: 'set/model/suite/task',
  dataset: 'set',
  model: null,
  suite: 'suite',
  seq: 3,
  tool: 'send_money',
  args: { to: 'DE00' },
  output: 'done',
  error: null,
};

test('a recorded call becomes an intent and a result with the ids that the contract derives from the trace id', () => {
  const [intent, result] = traceCallLines(zTraceCall.parse(CALL)).map((line) =>
    zEvent.parse(JSON.parse(line)),
  );
  assert.ok(intent !== undefined && result !== undefined);
  const stream = createHash('sha256').update('set/model/suite/task').digest('hex').slice(0, 32);
  assert.deepEqual([intent.stream, intent.seq, result.stream, result.seq], [stream, 6, stream, 7]);
  const nonce = createHash('sha256')
    .update(Buffer.from(`${stream}0000000000000006`, 'hex'))
    .digest('hex')
    .slice(0, 32);
  assert.equal(intent.nonce, nonce);
  assert.equal(intent.time, '2025-01-01T00:00:03.000Z');
  assert.deepEqual(
    [intent.kind, result.kind, result.outcome, intent.callId],
    ['call.intent', 'call.result', 'ok', '3'],
  );
  assert.equal(intent.argsHash, createHash('sha256').update('{"to":"DE00"}').digest('hex'));
});

test('the same call gives the same bytes, an error gives tool_error', () => {
  const call = zTraceCall.parse({ ...CALL, error: 'no funds' });
  assert.deepEqual(traceCallLines(call), traceCallLines(zTraceCall.parse({ ...CALL, error: 'no funds' })));
  assert.equal((JSON.parse(traceCallLines(call)[1]) as { outcome: string }).outcome, 'tool_error');
});

const RECORDED = new URL('../../../../shared/data/traces/rjudge.jsonl.gz', import.meta.url);
test(
  'recorded traces convert to valid events',
  { skip: existsSync(RECORDED) ? false : 'recorded traces are not here' },
  () => {
    const lines = gunzipSync(readFileSync(RECORDED)).toString('utf8').trim().split('\n');
    for (const line of lines)
      for (const event of traceCallLines(zTraceCall.parse(JSON.parse(line)))) zEvent.parse(JSON.parse(event));
    assert.equal(lines.length, 1461);
  },
);
