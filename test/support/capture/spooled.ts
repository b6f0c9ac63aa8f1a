/** What stands in the spools of a data directory, read as anybody would: files of one JSON value a line. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Event } from '../../../schemas/event/v1.ts';

/** Events of all streams, each stream in the order of its file. */
export function spooledEvents(dataDir: string): readonly Event[] {
  const spool = path.join(dataDir, 'spool');
  return readdirSync(spool, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ndjson'))
    .toSorted()
    .flatMap((name) => {
      const [, ...lines] = readFileSync(path.join(spool, name), 'utf8').trimEnd().split('\n');
      return lines.map((line) => JSON.parse(line) as Event);
    });
}
