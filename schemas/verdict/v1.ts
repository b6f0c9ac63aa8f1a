/**
 * What detection says of one call that a host holds back until it knows: sent on topic verdicts, handed on to the host on
 * its control channel. It is no evidence: what the host did with it stands on record as `hold` of the call's result.
 */
import { z } from 'zod';
import { zHex32, zName } from '../event/v1.ts';

export const VERDICTS = ['clear', 'shadow_refuse', 'refuse'] as const;

export const zVerdict = z.strictObject({
  v: z.literal(1),
  /** Of the call's intent. */
  stream: zHex32,
  seq: z.number().int().min(0),
  /** `refuse`: a rule in mode enforce, whose action is a kill, is completed by this call. */
  verdict: z.enum(VERDICTS),
  ruleId: zName.optional(),
});
export type Verdict = z.infer<typeof zVerdict>;
