/** A file of events, one a line. */
import { readFileSync } from 'node:fs';
import { TriplineError } from '../../schemas/errors.ts';
import { readEventLine } from '../../schemas/event/read.ts';
import type { Event } from '../../schemas/event/v1.ts';

/** Throws usage where it cannot be read, request_invalid with the line that is no event. */
export function readEvents(file: string): Event[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TriplineError('usage', `${file} cannot be read`, { path: '--events', cause });
  }
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const read = readEventLine(line);
    if (read.kind === 'event') return [read.event];
    throw new TriplineError('request_invalid', `${file}:${index + 1}: ${read.path}: ${read.message}`, {
      path: read.path,
    });
  });
}
