/** Random ids and nonces. Drawn from the system in blocks: a call needs five of them, and each draw costs as much as a hash. */
import { randomFillSync } from 'node:crypto';

const block = Buffer.alloc(4096);
let used = block.length;

/** `bytes` (at most 4096) random bytes as lower-case hex; no byte is given out twice. */
export function randomHex(bytes: number): string {
  if (used + bytes > block.length) {
    randomFillSync(block);
    used = 0;
  }
  used += bytes;
  return block.toString('hex', used - bytes, used);
}
