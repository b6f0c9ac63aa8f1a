/**
 * A 52-bit hash of a text, seeded. Fast and public: whoever reads this file can make two texts with equal hashes, and
 * can guess a short text from its hash. Equal texts always have equal hashes, so nobody can hide by it; where a false
 * alarm on purpose or a guess matters, the caller gives a keyed hash instead.
 *
 * Two lanes of 32 bits, each a multiply-xor round a UTF-16 unit, finished by MurmurHash3's fmix32 (A. Appleby, public
 * domain); 26 bits are taken from each.
 */
const TWO_26 = 0x4000000;

/** MurmurHash3's 32-bit finaliser: every input bit reaches every output bit. Signed result. */
export function mix32(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

export function hash52(text: string, seed: number): number {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x7f4a7c15 ^ Math.imul(seed, 0x01000193);
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    a = Math.imul(a ^ unit, 0x85ebca77);
    a ^= a >>> 15;
    b = Math.imul(b ^ unit, 0xc2b2ae3d);
    b ^= b >>> 13;
  }
  a = mix32(a ^ text.length);
  b = mix32(b ^ Math.imul(text.length, 0x27d4eb2f) ^ (a >>> 3));
  return (a >>> 6) * TWO_26 + (b >>> 6);
}
