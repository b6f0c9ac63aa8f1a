/** Random numbers of one seed, so that a failing run can be repeated: SCENARIO_SEED=… in the environment. */

export interface Random {
  readonly seed: number;
  /** In [0, 1). */
  next(): number;
  /** Whole number in [min, max]. */
  between(min: number, max: number): number;
}

/** The seed of the environment, else a new one; it is printed. mulberry32 (public domain, Tommy Ettinger). */
export function seededRandom(name: string): Random {
  const given = process.env['SCENARIO_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  console.log(`${name}: SCENARIO_SEED=${seed}`);
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { seed, next, between: (min, max) => min + Math.floor(next() * (max - min + 1)) };
}
