/** Structured logs of the service: one JSON object a line on stderr, secrets left out. */
import { destination, pino, type Logger } from 'pino';
import type { Config } from '../../../schemas/config/v1.ts';

const STDERR = 2;
const REDACTED = ['req.headers.authorization', '*.token', '*.secret', '*.password'];

/** Logger on stderr: stdout belongs to commands. Values of events are fields, never formats. */
export function createLogger({ level }: Config['log']): Logger {
  return pino({ level, redact: { paths: REDACTED, censor: '***' } }, destination({ fd: STDERR, sync: true }));
}
