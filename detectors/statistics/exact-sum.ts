/**
 * A sum that never rounds until it is read: Shewchuk's non-overlapping partials ("Adaptive Precision Floating-Point
 * Arithmetic", 1997; the method of Python's math.fsum). So a value that leaves the window takes away exactly what it
 * brought: one huge value, chosen by an attacker, does not wipe out the small ones around it.
 */

/** Beyond it 4,096 values could overflow; such a number is no measurement. */
export const MAX_SUMMAND = 1e300;

export class ExactSum {
  private partials: number[] = [];

  add(value: number): void {
    let carried = value;
    const kept: number[] = [];
    for (const partial of this.partials) {
      // Two-sum of the larger and the smaller: high + low is exactly their sum.
      const [large, small] = Math.abs(carried) >= Math.abs(partial) ? [carried, partial] : [partial, carried];
      const high = large + small;
      const low = small - (high - large);
      if (low !== 0) kept.push(low);
      carried = high;
    }
    if (carried !== 0) kept.push(carried);
    this.partials = kept;
  }

  /** The sum, rounded once. */
  value(): number {
    const { partials } = this;
    let at = partials.length - 1;
    let high = partials[at] ?? 0;
    let low = 0;
    while (at > 0 && low === 0) {
      const before = high;
      const next = partials[--at] as number;
      high = before + next;
      low = next - (high - before);
    }
    return roundHalfEven(high, low, partials[at - 1] ?? 0);
  }
}

/** A tie that the first rounding decided by the even digit is decided by what lies below it. */
function roundHalfEven(high: number, low: number, below: number): number {
  if ((low < 0 && below < 0) || (low > 0 && below > 0)) {
    const twice = low * 2;
    const rounded = high + twice;
    if (twice === rounded - high) return rounded;
  }
  return high;
}
