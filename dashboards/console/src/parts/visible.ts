/** Text that an attacker may have chosen, cut into plain pieces and characters that would lie about it. */
export type Piece =
  { readonly kind: 'plain'; readonly text: string } | { readonly kind: 'hidden'; readonly text: string };

/**
 * Controls, format characters (bidi overrides, zero-width, soft hyphen, tags), line and paragraph separators, private
 * use, unassigned, lone surrogates, and variation selectors: what can hide, reorder or smuggle text.
 */
const HIDDEN =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}\u{FE00}-\u{FE0F}\u{E0100}-\u{E01EF}\u{115F}\u{1160}\u{3164}\u{FFA0}]/gu;

/** `a\u202Eb` → plain `a`, hidden `U+202E`, plain `b`. */
export function pieces(value: string): readonly Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of value.matchAll(HIDDEN)) {
    if (match.index > from) found.push({ kind: 'plain', text: value.slice(from, match.index) });
    found.push({ kind: 'hidden', text: nameOf(match[0]) });
    from = match.index + match[0].length;
  }
  if (from < value.length) found.push({ kind: 'plain', text: value.slice(from) });
  return found;
}

/** The same as one string, for labels and titles. */
export function visible(value: string): string {
  return pieces(value)
    .map((piece) => (piece.kind === 'plain' ? piece.text : `⟨${piece.text}⟩`))
    .join('');
}

function nameOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** At most `maxLength` characters (code points), never half of one. */
export function cut(value: string, maxLength: number): { readonly text: string; readonly isCut: boolean } {
  // A value may be megabytes: only the part that can be shown is taken apart.
  const head = Array.from(value.slice(0, maxLength * 2 + 2));
  if (head.length <= maxLength && value.length <= maxLength * 2 + 2) return { text: value, isCut: false };
  return { text: head.slice(0, maxLength).join(''), isCut: true };
}
