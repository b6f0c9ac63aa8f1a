/** Work that one value may cause. Everything here is chosen by whoever sends the value; what is left out is on record. */
export class Steps {
  /** Characters looked at so far. */
  taken = 0;
  /** Something was left out. */
  isPartial = false;
  private readonly max: number;

  constructor(max: number) {
    this.max = max;
  }

  /** Whether `count` more characters may be looked at. */
  take(count: number): boolean {
    if (!this.allows(count)) {
      this.isPartial = true;
      return false;
    }
    this.taken += count;
    return true;
  }

  /** The same without taking them. */
  allows(count: number): boolean {
    return this.taken + count <= this.max;
  }

  /** What is left from here on, for work that goes two ways. */
  copy(): Steps {
    const copy = new Steps(this.max);
    copy.taken = this.taken;
    copy.isPartial = this.isPartial;
    return copy;
  }
}
