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
    if (this.taken + count > this.max) {
      this.isPartial = true;
      return false;
    }
    this.taken += count;
    return true;
  }
}
