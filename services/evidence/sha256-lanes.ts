/**
 * SHA-256 (FIPS 180-4) of many short messages of one length, four at a time in the lanes of WebAssembly's vectors. A call
 * of a native digest costs more than the digest of a ledger entry; this makes none. The module is written here, instruction
 * by instruction, so that it needs no compiler, no file and no package. Where vectors are missing there is none.
 */
import type { PaddedMessages, Sha256Many } from './bytes.ts';

const LANES = 4;
const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
const PAGE_BYTES = 65_536;

/** First 32 bits of the fractional parts of cube roots (FIPS 180-4 section 4.2.2) and square roots (5.3.3) of primes. */
const PRIMES = primes(64);
const ROUND_CONSTANTS = PRIMES.map((prime) => fraction(prime, 3n));
const INITIAL = PRIMES.slice(0, 8).map((prime) => fraction(prime, 2n));

function primes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let n = 2n; found.length < count; n += 1n) if (found.every((prime) => n % prime !== 0n)) found.push(n);
  return found;
}

/** floor(root(n) * 2^32) mod 2^32, in integers. */
function fraction(n: bigint, degree: bigint): number {
  const wanted = n << (32n * degree);
  let root = 0n;
  for (let bit = 1n << 40n; bit > 0n; bit >>= 1n) if ((root + bit) ** degree <= wanted) root += bit;
  return Number(root & 0xffff_ffffn);
}

/** Opcodes of the WebAssembly specification, section 5.4. */
const OP = { loop: 0x03, end: 0x0b, branchIf: 0x0d, get: 0x20, set: 0x21, tee: 0x22, i32: 0x41 } as const;
const I32 = { add: 0x6a, sub: 0x6b, shl: 0x74 } as const;
const VECTOR = {
  load: 0x00,
  store: 0x0b,
  constant: 0x0c,
  shuffle: 0x0d,
  xor: 0x51,
  or: 0x50,
  select: 0x52,
  shl: 0xab,
  shr: 0xad,
  add: 0xae,
} as const;
const VOID = 0x40;
const TYPE_I32 = 0x7f;
const TYPE_V128 = 0x7b;

/** Locals: four parameters, then numbers, then vectors. */
const IN = 0;
const GROUPS = 1;
const BLOCKS = 2;
const OUT = 3;
const LEFT = 4;
const STRIDE = 5;
const AT = 6;
const STATE = AT + LANES;
const VARS = STATE + 8;
const WORDS = VARS + 8;
const TEMP = WORDS + 16;
const NUMBERS = STATE - 4;
const VECTORS = TEMP + 6 - STATE;

class Code {
  readonly bytes: number[] = [];

  byte(...bytes: number[]): this {
    this.bytes.push(...bytes);
    return this;
  }

  /** LEB128. */
  unsigned(value: number): this {
    let rest = value;
    for (; rest > 127; rest >>>= 7) this.byte((rest & 127) | 128);
    return this.byte(rest);
  }

  i32(value: number): this {
    this.byte(OP.i32);
    let rest = value;
    for (; rest < -64 || rest > 63; rest >>= 7) this.byte((rest & 127) | 128);
    return this.byte(rest & 127);
  }

  get(local: number): this {
    return this.byte(OP.get).unsigned(local);
  }

  set(local: number): this {
    return this.byte(OP.set).unsigned(local);
  }

  tee(local: number): this {
    return this.byte(OP.tee).unsigned(local);
  }

  vector(op: number): this {
    return this.byte(0xfd).unsigned(op);
  }

  load(offset: number): this {
    return this.vector(VECTOR.load).byte(0).unsigned(offset);
  }

  store(offset: number): this {
    return this.vector(VECTOR.store).byte(0).unsigned(offset);
  }

  /** The same 32 bits in each lane. */
  constant(word: number): this {
    const lane = [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24];
    return this.vector(VECTOR.constant).byte(...lane, ...lane, ...lane, ...lane);
  }

  /** Words by number over both operands, each with its bytes in the order given. */
  shuffle(words: readonly number[], order: readonly number[]): this {
    return this.vector(VECTOR.shuffle).byte(
      ...words.flatMap((word) => order.map((place) => word * 4 + place)),
    );
  }

  add(): this {
    return this.vector(VECTOR.add);
  }

  xor(): this {
    return this.vector(VECTOR.xor);
  }

  /** XOR of the local rotated right by `rotations`, and shifted right by `shift` bits. */
  mixed(local: number, rotations: readonly number[], shift?: number): this {
    for (const [at, bits] of rotations.entries()) {
      this.get(local).i32(bits).vector(VECTOR.shr);
      this.get(local)
        .i32(32 - bits)
        .vector(VECTOR.shl)
        .vector(VECTOR.or);
      if (at > 0) this.xor();
    }
    return shift === undefined ? this : this.get(local).i32(shift).vector(VECTOR.shr).xor();
  }
}

const SAME = [0, 1, 2, 3];
const SWAPPED = [3, 2, 1, 0];

/** Four vectors on the locals `from`.., as a matrix of words turned over into `to`..; big endian outside, little inside. */
function turn(code: Code, from: readonly number[], to: readonly number[]): void {
  const [a = 0, b = 0, c = 0, d = 0] = from;
  const pairs = [
    [a, b, [0, 4, 1, 5]],
    [c, d, [0, 4, 1, 5]],
    [a, b, [2, 6, 3, 7]],
    [c, d, [2, 6, 3, 7]],
  ] as const;
  for (const [left, right, words] of pairs) code.get(left).get(right).shuffle(words, SWAPPED);
  const [e, f, g, h] = [TEMP, TEMP + 1, TEMP + 2, TEMP + 3] as const;
  code.set(h).set(g).set(f).set(e);
  const halves = [
    [e, f, [0, 1, 4, 5]],
    [e, f, [2, 3, 6, 7]],
    [g, h, [0, 1, 4, 5]],
    [g, h, [2, 3, 6, 7]],
  ] as const;
  for (const [at, [left, right, words]] of halves.entries())
    code
      .get(left)
      .get(right)
      .shuffle(words, SAME)
      .set(to[at] ?? 0);
}

function loadWords(code: Code): void {
  for (let quad = 0; quad < 4; quad += 1) {
    const words = [0, 1, 2, 3].map((word) => WORDS + quad * 4 + word);
    for (const [lane, word] of words.entries())
      code
        .get(AT + lane)
        .load(quad * 16)
        .set(word);
    turn(code, words, words);
  }
}

/** FIPS 180-4 section 6.2.2: the rounds of a block, the message schedule in place. */
function rounds(code: Code): void {
  for (let at = 0; at < 8; at += 1) code.get(STATE + at).set(VARS + at);
  const variable = (round: number, name: number): number => VARS + ((((name - round) % 8) + 8) % 8);
  for (const [round, constant] of ROUND_CONSTANTS.entries()) {
    const [a, b, c, d] = [0, 1, 2, 3].map((name) => variable(round, name)) as [
      number,
      number,
      number,
      number,
    ];
    const [e, f, g, h] = [4, 5, 6, 7].map((name) => variable(round, name)) as [
      number,
      number,
      number,
      number,
    ];
    const word = WORDS + (round % 16);
    if (round >= 16) schedule(code, round);
    code.get(h).mixed(e, [6, 11, 25]).add();
    code.get(f).get(g).get(e).vector(VECTOR.select).add();
    code.constant(constant).add().get(word).add().tee(TEMP);
    code.get(d).add().set(d);
    // The majority of a, b and c is b where a and b agree, else c.
    code.get(TEMP).mixed(a, [2, 13, 22]).add();
    code.get(c).get(b).get(a).get(b).xor().vector(VECTOR.select).add().set(h);
  }
  for (let at = 0; at < 8; at += 1)
    code
      .get(STATE + at)
      .get(VARS + at)
      .add()
      .set(STATE + at);
}

function schedule(code: Code, round: number): void {
  const word = (back: number): number => WORDS + ((round - back) % 16);
  code.get(word(16)).mixed(word(15), [7, 18], 3).add();
  code.get(word(7)).add();
  code.mixed(word(2), [17, 19], 10).add().set(word(16));
}

function hashGroups(): Code {
  const code = new Code();
  code.get(BLOCKS).i32(6).byte(I32.shl).set(STRIDE);
  code.byte(OP.loop, VOID);
  for (const [at, word] of INITIAL.entries()) code.constant(word).set(STATE + at);
  code.get(IN).set(AT);
  for (let lane = 1; lane < LANES; lane += 1)
    code
      .get(AT + lane - 1)
      .get(STRIDE)
      .byte(I32.add)
      .set(AT + lane);
  code.get(BLOCKS).set(LEFT);
  code.byte(OP.loop, VOID);
  loadWords(code);
  rounds(code);
  for (let lane = 0; lane < LANES; lane += 1)
    code
      .get(AT + lane)
      .i32(BLOCK_BYTES)
      .byte(I32.add)
      .set(AT + lane);
  code.get(LEFT).i32(1).byte(I32.sub).tee(LEFT).byte(OP.branchIf, 0, OP.end);
  for (let half = 0; half < 2; half += 1) {
    const state = [0, 1, 2, 3].map((at) => STATE + half * 4 + at);
    turn(code, state, state);
    for (const [lane, digest] of state.entries())
      code
        .get(OUT)
        .get(digest)
        .store(lane * DIGEST_BYTES + half * 16);
  }
  code
    .get(OUT)
    .i32(LANES * DIGEST_BYTES)
    .byte(I32.add)
    .set(OUT);
  // The last lane stands where the next group begins.
  code.get(AT + LANES - 1).set(IN);
  code.get(GROUPS).i32(1).byte(I32.sub).tee(GROUPS).byte(OP.branchIf, 0, OP.end);
  return code.byte(OP.end);
}

function moduleBytes(): Uint8Array {
  const module = new Code().byte(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = (id: number, content: Code): void => {
    module.byte(id).unsigned(content.bytes.length);
    for (const byte of content.bytes) module.byte(byte);
  };
  section(1, new Code().byte(1, 0x60, 4, TYPE_I32, TYPE_I32, TYPE_I32, TYPE_I32, 0));
  section(3, new Code().byte(1, 0));
  section(5, new Code().byte(1, 0, 1));
  const name = (text: string): number[] => [
    text.length,
    ...Array.from(text, (letter) => letter.charCodeAt(0)),
  ];
  section(7, new Code().byte(2, ...name('memory'), 2, 0, ...name('hash'), 0, 0));
  const body = new Code().byte(2).unsigned(NUMBERS).byte(TYPE_I32).unsigned(VECTORS).byte(TYPE_V128);
  for (const byte of hashGroups().bytes) body.byte(byte);
  const functions = new Code().byte(1).unsigned(body.bytes.length);
  for (const byte of body.bytes) functions.byte(byte);
  section(10, functions);
  return Uint8Array.from(module.bytes);
}

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
interface Exports {
  readonly memory: Memory;
  readonly hash: (from: number, groups: number, blocks: number, to: number) => void;
}
/** What is used of the global object; Node's types do not name it. */
interface Wasm {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

function instance(): Exports | undefined {
  const wasm = (globalThis as { readonly WebAssembly?: Wasm }).WebAssembly;
  if (wasm === undefined) return undefined;
  try {
    return new wasm.Instance(new wasm.Module(moduleBytes())).exports as Exports;
  } catch {
    // No vectors here, or a page whose policy lets nothing be compiled.
    return undefined;
  }
}

let exports: Exports | undefined;
let isTried = false;

/** Undefined where this machine has no vectors. The messages of one call are hashed before it returns. */
export function sha256Lanes(): Sha256Many | undefined {
  if (!isTried) exports = instance();
  isTried = true;
  const lanes = exports;
  return lanes === undefined
    ? undefined
    : (messages, count, digests) => hash(lanes, messages, count, digests);
}

function hash(
  { memory, hash: run }: Exports,
  messages: PaddedMessages,
  count: number,
  digests: Uint8Array,
): void {
  if (count === 0) return;
  const groups = Math.ceil(count / LANES);
  const inBytes = groups * LANES * messages.stride;
  const needed = inBytes + groups * LANES * DIGEST_BYTES;
  const missing = needed - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(messages.bytes.subarray(0, count * messages.stride));
  run(0, groups, messages.stride / BLOCK_BYTES, inBytes);
  digests.set(bytes.subarray(inBytes, inBytes + count * DIGEST_BYTES));
}
