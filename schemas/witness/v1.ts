/** Configuration of a witness, version 1: strict, as that of the service. A witness shares nothing with the service. */
import { z } from 'zod';

export const zWitnessConfig = z.strictObject({
  /** Name of its key in cosignature lines: an URL without scheme, without spaces and plus. Never change it. */
  name: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[^\p{White_Space}\p{Cc}+]+$/u, 'must hold no space and no plus'),
  /** Holds `witness.key` (mode 0600) and what was cosigned last of each log. */
  stateDir: z.string().min(1),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.number().int().min(0).max(65_535).default(8748),
      rateLimitPerMinute: z.number().int().min(1).default(600),
    })
    .prefault({}),
  /** Verifier keys (c2sp.org/signed-note) of the logs that it cosigns; the name of a key is the log's origin. */
  logs: z.array(z.string().min(1).max(1024)).min(1).max(1024),
  log: z
    .strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info') })
    .prefault({}),
});
export type WitnessConfig = z.infer<typeof zWitnessConfig>;
