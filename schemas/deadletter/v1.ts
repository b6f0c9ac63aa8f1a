/** A dead letter: bytes that were refused or could not be read, kept with the reason. Topic deadletters. */
import { z } from 'zod';
import { zHex32, zHex64, zName, zTime } from '../event/v1.ts';

export const MAX_DEAD_LETTER_RAW_BYTES = 512 * 1024;

export const zDeadLetterBody = z.strictObject({
  /** A code of schemas/errors.ts. */
  code: zName,
  path: z.string().max(512).optional(),
  message: z.string().max(2048),
  /** `ingest:<key id>` or `<topic>/<partition>/<offset>/<line>`. */
  origin: z.string().max(512),
  rawBase64: z.string(),
  rawBytes: z.number().int().min(0),
  rawHash: zHex64,
  truncated: z.boolean(),
});
export type DeadLetterBody = z.infer<typeof zDeadLetterBody>;

export const zDeadLetterLine = z.strictObject({
  v: z.literal(1),
  kind: z.literal('dead_letter'),
  stream: zHex32,
  seq: z.number().int().min(0),
  nonce: zHex32,
  time: zTime,
  session: zName,
  agent: zName,
  deadLetter: zDeadLetterBody,
});
export type DeadLetterLine = z.infer<typeof zDeadLetterLine>;
