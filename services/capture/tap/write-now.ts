/** Writes to pipes past the stream's own machinery, which costs more than the write does. */
import { writeSync } from 'node:fs';
import type { Writable } from 'node:stream';

const NOTHING = new Uint8Array();

/** The open descriptor under a stream of a pipe or socket; of others, and of one that is closed, there is none. */
function descriptorOf(stream: Writable): number | undefined {
  const { _handle: handle } = stream as { readonly _handle?: { readonly fd?: unknown } | null };
  const fd = handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

/**
 * Writes as much as the kernel takes at once, and answers the rest, which is for the stream: all of it where something
 * waits in the stream already, where the reader is gone (the stream tells), or where nothing is known of its descriptor.
 */
export function writeNow(stream: Writable, bytes: Uint8Array): Uint8Array {
  const fd = stream.writableLength === 0 && !stream.writableEnded ? descriptorOf(stream) : undefined;
  if (fd === undefined) return bytes;
  try {
    const written = writeSync(fd, bytes);
    return written === bytes.length ? NOTHING : bytes.subarray(written);
  } catch {
    return bytes;
  }
}
