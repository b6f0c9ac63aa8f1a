/** A set of numbers of 52 bits that are hashes already: open addressing in tables that are used again and again. */
export class NumberSet {
  private numbers: Float64Array;
  /** By slot the round in which it was filled: clearing costs nothing. */
  private rounds: Uint32Array;
  private mask: number;
  private round = 1;

  constructor(maxCount: number) {
    const length = slotsFor(maxCount);
    this.numbers = new Float64Array(length);
    this.rounds = new Uint32Array(length);
    this.mask = length - 1;
  }

  clear(): void {
    if (++this.round <= 0xffffffff) return;
    this.rounds.fill(0);
    this.round = 1;
  }

  /** Empties the set and makes room for so many. */
  clearFor(maxCount: number): void {
    const length = slotsFor(maxCount);
    if (length > this.numbers.length) {
      this.numbers = new Float64Array(length);
      this.rounds = new Uint32Array(length);
      this.mask = length - 1;
      this.round = 0;
    }
    this.clear();
  }

  /** `bits`: any number whose lowest bits decide where to look, the same each time; false where it is there already. */
  add(number: number, bits: number): boolean {
    const { numbers, rounds, mask, round } = this;
    let slot = bits & mask;
    while (rounds[slot] === round) {
      if (numbers[slot] === number) return false;
      slot = (slot + 1) & mask;
    }
    rounds[slot] = round;
    numbers[slot] = number;
    return true;
  }

  has(number: number, bits: number): boolean {
    const { numbers, rounds, mask, round } = this;
    for (let slot = bits & mask; rounds[slot] === round; slot = (slot + 1) & mask) {
      if (numbers[slot] === number) return true;
    }
    return false;
  }
}

/** At most a third of the slots are filled. */
function slotsFor(maxCount: number): number {
  return 1 << (32 - Math.clz32(maxCount * 3));
}
