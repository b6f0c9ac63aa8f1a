/** The segments of a spool as whoever finds them after their writer's death reads them. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { cutLines, type SegmentHeader } from './spool.ts';

export interface Segment {
  readonly file: string;
  readonly header: SegmentHeader;
  readonly lines: readonly Uint8Array[];
  /** Its first line and those lines, each with its newline; what a crash cut off behind them is left out. */
  readonly bytes: Uint8Array;
}

/** An event as JSON; empty where it is none. */
export type Line = Readonly<Record<string, unknown>>;

export function parsedLine(line: Uint8Array): Line {
  try {
    return JSON.parse(new TextDecoder().decode(line)) as Line;
  } catch {
    return {};
  }
}

/** Those of the stream in their order; throws where the directory cannot be read. */
export function readSegments(directory: string, stream: string): readonly Segment[] {
  return readdirSync(directory)
    .filter((name) => /^\d{16,}\.ndjson$/u.test(name))
    .toSorted()
    .map((name) => readSegment(path.join(directory, name), stream))
    .filter((segment): segment is Segment => segment !== undefined);
}

function readSegment(file: string, stream: string): Segment | undefined {
  const { bytes, lines } = cutLines(readFileSync(file), Number.MAX_SAFE_INTEGER);
  const [first, ...rest] = lines;
  if (first === undefined) return undefined;
  const header = parsedLine(first) as Partial<SegmentHeader>;
  const isOurs = header.format === 'tripline-spool/1' && header.stream === stream;
  if (!isOurs || header.firstSeq === undefined || header.prev === undefined) return undefined;
  return { file, header: header as SegmentHeader, lines: rest, bytes };
}
