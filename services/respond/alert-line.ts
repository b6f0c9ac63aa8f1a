/** Alerts as they stand in a record of topic alerts. */
import { zAlertLine, type AlertLine } from '../../schemas/alert/v1.ts';
import { splitLines } from '../../schemas/bus/record.ts';
import { FORMAT_EVENTS, HEADERS, MAX_LINES_PER_RECORD } from '../../schemas/topics.ts';

export type AlertLineOutcome =
  | { readonly kind: 'alert'; readonly line: AlertLine }
  /** Not an alert of ours; `record` enters it in the ledger as what it is. */
  | { readonly kind: 'unreadable' };

/** The lines of a record, in order. Ticks and tombstones have none. */
export function readAlertLines(
  value: Uint8Array | null,
  headers: Readonly<Record<string, string>>,
): readonly AlertLineOutcome[] {
  if (value === null || headers[HEADERS.format] !== FORMAT_EVENTS) return [];
  return splitLines(value).slice(0, MAX_LINES_PER_RECORD).map(readLine);
}

function readLine(bytes: Uint8Array): AlertLineOutcome {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { kind: 'alert', line: zAlertLine.parse(JSON.parse(text)) };
  } catch {
    return { kind: 'unreadable' };
  }
}
