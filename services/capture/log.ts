/**
 * Log of capture: one JSON object a line on stderr, never on stdout (that is the protocol's). Fields are ours or codes;
 * text of a peer never becomes a log format.
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface CaptureLog {
  (level: LogLevel, event: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
}

export const silentLog: CaptureLog = () => undefined;

const RANK = { debug: 0, info: 1, warn: 2, error: 3 } as const;

/** Writes lines of at least `level` through `write`. */
export function jsonLog(write: (line: string) => void, level: LogLevel, nowMs: () => number): CaptureLog {
  return (lineLevel, event, fields = {}) => {
    if (RANK[lineLevel] < RANK[level]) return;
    const time = new Date(nowMs()).toISOString();
    write(`${JSON.stringify({ time, level: lineLevel, name: 'tripline-capture', event, ...fields })}\n`);
  };
}
