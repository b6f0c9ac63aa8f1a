/**
 * What stands in the place of a value. Few and no letters but the digest's own: else every two markers would share a run of
 * text by which detection follows values (detectors/flow).
 */
import { isCardNumber } from '../../../detectors/labels/card-number.ts';
import type { Keyed } from './key.ts';
import type { Treatment } from './rules.ts';

/** What a peer could type to look like a digest of ours; the event's list of places says which are real. */
export const LOOKALIKE = /\[#[0-9a-f]{32}\]/;

const CARD = /^\d(?:[ -]?\d){11,18}$/;

/** Spellings of one value: blanks around it do not count, nor do those between the digits of a card. */
export function canonical(text: string): string {
  const trimmed = text.trim();
  if (!CARD.test(trimmed)) return trimmed;
  const digits = trimmed.replaceAll(/[ -]/g, '');
  return isCardNumber(digits) ? digits : trimmed;
}

export const digestMarker = (digest: string): string => `[#${digest}]`;

/** The marker, and the digest where it is one; `parts` are digests of pieces that may be sent on by themselves. */
export function markerFor(
  text: string,
  by: Treatment,
  keyed: Keyed,
  parts: readonly string[] = [],
): { readonly marker: string; readonly digest?: string } {
  switch (by.action) {
    case 'remove':
      return { marker: '[-]' };
    case 'mask':
      return { marker: `[*${lastOf(text.trim(), by.keepLast)}]` };
    case 'digest': {
      const digest = keyed.digest(canonical(text));
      return { marker: [digest, ...parts].map(digestMarker).join(''), digest };
    }
  }
}

/** Never more than a quarter, and no half of a character. */
function lastOf(text: string, keepLast: number): string {
  const count = Math.min(keepLast, Math.floor(text.length / 4));
  const last = count === 0 ? '' : text.slice(-count);
  return /^[\uDC00-\uDFFF]/.test(last) ? last.slice(1) : last;
}
