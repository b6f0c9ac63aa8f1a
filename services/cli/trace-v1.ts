/**
 * The `trace-v1` format: recorded agent traces, one call a line, turned into an intent and a result each. It is
 * deterministic (contracts: session = trace_id; stream = SHA-256(trace_id)[:16]; seq 2n and 2n+1; nonce =
 * SHA-256(stream ‖ u64 seq)[:16]; time = 2025-01-01 plus n s), so that sending a file again adds nothing to the ledger.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { MAX_INLINE_BODY_BYTES } from '../../schemas/event/v1.ts';

export const zTraceCall = z.looseObject({
  trace_id: z.string().min(1).max(256),
  dataset: z.string(),
  suite: z.string().nullish(),
  model: z.string().nullish(),
  seq: z.number().int().min(0),
  tool: z.string().min(1),
  args: z.unknown(),
  output: z.string().nullish(),
  error: z.string().nullish(),
});
export type TraceCall = z.infer<typeof zTraceCall>;

const EPOCH_MS = Date.UTC(2025, 0, 1);

/** Two event lines (intent, result) of one recorded call. */
export function traceCallLines(call: TraceCall): readonly [string, string] {
  const digest = createHash('sha256').update(call.trace_id, 'utf8').digest();
  const stream = digest.subarray(0, 16);
  const args = JSON.stringify(call.args ?? {});
  const envelope = (kind: string, seq: number) => ({
    v: 1,
    kind,
    stream: stream.toString('hex'),
    seq,
    nonce: nonceOf(stream, seq).toString('hex'),
    time: new Date(EPOCH_MS + call.seq * 1000).toISOString(),
    session: call.trace_id,
    agent: call.model ?? call.dataset,
    callId: String(call.seq),
    traceId: digest.subarray(16, 32).toString('hex'),
    spanId: nonceOf(stream, 2 * call.seq)
      .toString('hex')
      .slice(0, 16),
    server: call.suite ?? call.dataset,
    transport: 'other',
    tool: call.tool,
  });
  const intent = {
    ...envelope('call.intent', 2 * call.seq),
    args: call.args ?? {},
    argsHash: sha256Hex(args),
    argsBytes: Buffer.byteLength(args),
  };
  const output = call.output ?? '';
  const result = {
    ...envelope('call.result', 2 * call.seq + 1),
    ...(Buffer.byteLength(output) <= MAX_INLINE_BODY_BYTES ? { result: output } : {}),
    resultHash: sha256Hex(output),
    resultBytes: Buffer.byteLength(output),
    outcome: call.error === null || call.error === undefined ? 'ok' : 'tool_error',
  };
  return [JSON.stringify(intent), JSON.stringify(result)];
}

function nonceOf(stream: Uint8Array, seq: number): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(seq));
  return createHash('sha256').update(stream).update(number).digest().subarray(0, 16);
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
