/** Where records are cut: into batches (one manifest, one INSERT a table) and inside a batch into parts. Shows in no row. */
import type { BusRecord } from '../platform/bus/port.ts';

const NEWLINE = 10;
const NO_BYTES = new Uint8Array(0);

export interface CutLimits {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

export interface RecordRun {
  readonly records: readonly BusRecord[];
  readonly bytes: number;
}

/**
 * What one batch does before it gives way to others of the process: about 3 ms of work. Also the life of a parsed line,
 * which is so short that the collector never has to move it.
 */
export const PART_LIMITS: CutLimits = { maxEvents: 128, maxBytes: 512 * 1024 };

/** The same bytes with Buffer's search, which is three times as fast as a plain array's. */
export function searchable({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}

function lineCount(value: Uint8Array): number {
  const bytes = searchable(value);
  let lines = 1;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}

/** Runs of records within the limits, at least one record each, in order. */
export function* cutRuns(records: readonly BusRecord[], limits: CutLimits): Generator<RecordRun> {
  let from = 0;
  let bytes = 0;
  let lines = 0;
  for (let at = 0; at < records.length; at += 1) {
    const value = records[at]?.value ?? NO_BYTES;
    const count = lineCount(value);
    if (at > from && (bytes + value.length > limits.maxBytes || lines + count > limits.maxEvents)) {
      yield { records: records.slice(from, at), bytes };
      from = at;
      bytes = 0;
      lines = 0;
    }
    bytes += value.length;
    lines += count;
  }
  if (from < records.length) yield { records: records.slice(from), bytes };
}
