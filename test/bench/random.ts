/** mulberry32: whole numbers below a bound, the same ones for the same seed. */
export type RandomBelow = (below: number) => number;

export function randomBelow(seed: number): RandomBelow {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}
