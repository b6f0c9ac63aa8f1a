/** Refused bytes are kept: one line a refusal on topic deadletters, with the reason. */
import { encodeEventRecord, partitionFor, recordKey } from '../../schemas/bus/record.ts';
import { MAX_DEAD_LETTER_RAW_BYTES } from '../../schemas/deadletter/v1.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { StepContext } from '../platform/step.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import type { Rejection } from './step.ts';

const SESSION = 'tripline';
/** One record must stay under the bus's limit with the bytes in base64. */
const MAX_RAW_BYTES = Math.min(MAX_DEAD_LETTER_RAW_BYTES, 512 * 1024);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Resolves when all refusals are durable. Each is a stream of its own: nobody chains refusals. */
export async function keepRefused(
  context: Pick<StepContext, 'bus' | 'producer' | 'clock' | 'randomBytes'>,
  from: { readonly tenant: string; readonly origin: string },
  rejected: readonly Pick<Rejection, 'code' | 'path' | 'message' | 'raw'>[],
): Promise<void> {
  const partition = partitionFor(
    recordKey(from.tenant, SESSION),
    context.bus.partitionCount(TOPICS.deadletters.name),
  );
  const messages = rejected.map((rejection) => {
    const stream = hex(context.randomBytes(16));
    const kept = rejection.raw.subarray(0, MAX_RAW_BYTES);
    const line = {
      v: 1,
      kind: 'dead_letter',
      stream,
      seq: 0,
      nonce: hex(context.randomBytes(16)),
      time: new Date(context.clock.nowMs()).toISOString(),
      session: SESSION,
      agent: SESSION,
      deadLetter: {
        code: rejection.code,
        ...(rejection.path === '' ? {} : { path: rejection.path.slice(0, 512) }),
        message: rejection.message.slice(0, 2048),
        origin: from.origin,
        rawBase64: Buffer.from(kept).toString('base64'),
        rawBytes: rejection.raw.length,
        rawHash: hex(sha256(rejection.raw)),
        truncated: kept.length < rejection.raw.length,
      },
    };
    const lines = [Buffer.from(JSON.stringify(line))];
    return encodeEventRecord({
      tenant: from.tenant,
      session: SESSION,
      stream,
      firstSeq: 0,
      prev: '0'.repeat(64),
      lines,
    });
  });
  if (messages.length > 0) await context.producer.send(TOPICS.deadletters.name, partition, messages);
}
