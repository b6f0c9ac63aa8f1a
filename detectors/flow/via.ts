/** By which ways a value may travel from a source to a sink; the rule language's `flow.via`. */

export type Encoding = 'base64' | 'hex' | 'url' | 'reverse';
export type Via =
  | { readonly name: 'exact' | Encoding }
  /** A run of the source's text, split over any arguments or texts, of at least about `minLength` characters. */
  | { readonly name: 'chunks'; readonly minLength: number }
  /** The same by a tenth of the fingerprints, for values that are compared across sessions: both sides are thinned out. */
  | { readonly name: 'ngram'; readonly minLength: number };

export type ParsedVia =
  | { readonly kind: 'via'; readonly via: Via }
  /** Only values that carry label secret; without another way by those of LABEL_WAYS. */
  | { readonly kind: 'label' }
  | { readonly kind: 'fault'; readonly message: string; readonly hint: string };

export const MIN_CHUNK_LENGTH = 8;
export const MAX_CHUNK_LENGTH = 256;
const PLAIN: ReadonlySet<string> = new Set(['exact', 'base64', 'hex', 'url', 'reverse']);
const LABEL = 'label';
export const LABEL_WAYS: readonly Via[] = [
  { name: 'exact' },
  { name: 'base64' },
  { name: 'hex' },
  { name: 'url' },
];
const HINT = 'exact, base64, hex, url, reverse, label, chunks>=N or ngram>=N';

export function parseVia(text: string): ParsedVia {
  if (PLAIN.has(text)) return { kind: 'via', via: { name: text as 'exact' | Encoding } };
  const grams = /^(chunks|ngram)>=(\d{1,4})$/.exec(text);
  if (grams === null) {
    if (text === LABEL) return { kind: 'label' };
    return { kind: 'fault', message: `unknown way "${text}"`, hint: HINT };
  }
  const name = grams[1] as 'chunks' | 'ngram';
  const minLength = Number(grams[2]);
  if (minLength >= MIN_CHUNK_LENGTH && minLength <= MAX_CHUNK_LENGTH) {
    return { kind: 'via', via: { name, minLength } };
  }
  return {
    kind: 'fault',
    message: `${name}>=${minLength} is out of range`,
    hint: `N from ${MIN_CHUNK_LENGTH} to ${MAX_CHUNK_LENGTH}`,
  };
}
