/** What a request whose headers contradict its body is marked with on record, and refused by. */
import type { Control } from '../../../schemas/control/v1.ts';
import { hostControl } from '../controls/host-control.ts';

const MAX_LABELS = 8;
const MAX_LABEL_CHARACTERS = 64;
const MISMATCH_MS = 60_000;

/** None where nothing contradicts. Names of headers come from the client: bounded. */
export function mismatchLabels(mismatched: readonly string[]): readonly string[] {
  if (mismatched.length === 0) return [];
  const named = mismatched.slice(0, MAX_LABELS).map((name) => `header_mismatch:${name}`);
  return ['header_mismatch', ...named.map((label) => label.slice(0, MAX_LABEL_CHARACTERS))];
}

/** The gate's own configuration refuses; on record it stands where a control would. */
export function mismatchControl(nowMs: number): Control {
  const reason = 'A header of the request contradicts its body.';
  return hostControl({ id: 'header_mismatch', reason, nowMs, forMs: MISMATCH_MS });
}
