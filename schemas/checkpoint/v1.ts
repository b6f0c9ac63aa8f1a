/** A signed head of one log as the API and exports show it. Bytes and signature: services/evidence/heads.ts. */
import { z } from 'zod';
import { zHex64, zTime } from '../event/v1.ts';

export const zCheckpoint = z.strictObject({
  v: z.literal(1),
  origin: z.string(),
  logId: zHex64,
  topic: z.string(),
  partition: z.number().int().min(0),
  /** First offset of the partition that is not covered. */
  nextOffset: z.number().int().min(0),
  size: z.number().int().min(0),
  root: zHex64,
  lastLeafHash: zHex64,
  /** One signature covers the heads of a whole batch, in the order of their log ids. */
  keyId: zHex64,
  signature: z.string(),
  signedAt: zTime,
});
export type Checkpoint = z.infer<typeof zCheckpoint>;
