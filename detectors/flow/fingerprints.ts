/** Value-flow fingerprints (types first; the bodies follow). */
import type { Via } from './via.ts';

/** Keyed or cryptographic hash of a text as at least 13 hex digits. */
export type HashHex = (text: string) => string;

export function sourceFingerprints(
  _value: unknown,
  _via: readonly Via[],
  _minEntropy: number,
  _hash?: HashHex,
): string {
  return '';
}

export function sinkFingerprints(
  _value: unknown,
  _via: readonly Via[],
  _minEntropy: number,
  _hash?: HashHex,
): string {
  return '';
}

/** Whether something was left out of a fingerprint text because a bound was reached. */
export function isPartial(_fingerprints: string): boolean {
  return false;
}

export function sharesValue(_source: string, _sink: string): boolean {
  return false;
}
