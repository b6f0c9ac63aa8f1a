/** Cursors of listings: the sort key of the last row, opaque to whoever sends it back. */
import type { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';

/** Opaque form of the last row's sort key. */
export function encodeCursor(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key), 'utf8').toString('base64url');
}

/** The sort key of a cursor, held to its form: whoever sends it may have made it up. Throws request_invalid. */
export function decodeCursor<Key>(cursor: string, schema: z.ZodType<Key>): Key {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    value = undefined;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new TriplineError('request_invalid', 'The cursor is not one of ours.', { path: 'cursor' });
  return parsed.data;
}
