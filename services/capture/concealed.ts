/**
 * Characters that a person does not see and a model reads: in a tool's name, description or schema they hide an
 * instruction or make two names look alike. What scripts and emoji need of them is left alone (UTS #39, UTS #51,
 * Unicode §23.2 and §23.4), so that a Persian or a cheerful description is no finding. Linear in the text.
 */
export type Concealed = 'zero_width' | 'bidi' | 'tags' | 'variation_selectors' | 'invisible';

type Kind = Exclude<Concealed, 'bidi'> | 'joiner' | 'direction' | 'override';

/** Code points that are looked at more closely, and what they are where nothing excuses them. */
const RANGES: readonly (readonly [first: number, last: number, kind: Kind])[] = [
  [0xad, 0xad, 'invisible'],
  [0x34f, 0x34f, 'invisible'],
  [0x61c, 0x61c, 'direction'],
  [0x115f, 0x1160, 'invisible'],
  [0x17b4, 0x17b5, 'invisible'],
  [0x180b, 0x180f, 'variation_selectors'],
  [0x200b, 0x200b, 'zero_width'],
  [0x200c, 0x200d, 'joiner'],
  [0x200e, 0x200f, 'direction'],
  [0x202a, 0x202c, 'direction'],
  [0x202d, 0x202e, 'override'],
  [0x2060, 0x2060, 'zero_width'],
  [0x2061, 0x2065, 'invisible'],
  [0x2066, 0x2069, 'direction'],
  [0x206a, 0x206f, 'invisible'],
  [0x3164, 0x3164, 'invisible'],
  [0xfe00, 0xfe0f, 'variation_selectors'],
  [0xfeff, 0xfeff, 'zero_width'],
  [0xffa0, 0xffa0, 'invisible'],
  [0xe0000, 0xe007f, 'tags'],
  [0xe0080, 0xe00ff, 'invisible'],
  [0xe0100, 0xe01ef, 'variation_selectors'],
  [0xe01f0, 0xe0fff, 'invisible'],
];
const escaped = (code: number): string => `\\u{${code.toString(16)}}`;
/** Almost no definition holds one. */
const SUSPECT = new RegExp(
  `[${RANGES.map(([first, last]) => `${escaped(first)}-${escaped(last)}`).join('')}]`,
  'u',
);

const PICTOGRAPH = /\p{Extended_Pictographic}|\p{Emoji_Modifier}|\u{FE0F}/u;
/** Scripts that join letters, where ZWJ and ZWNJ choose their form (Unicode §23.2). */
const JOINING =
  /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Nko}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
/** What a variation selector may follow: pictographs, keycaps, ideographs, Mongolian letters, symbols; no text in Latin letters. */
const VARIED = /[\p{Extended_Pictographic}\p{Script=Han}\p{Script=Mongolian}\p{Script=Myanmar}\p{S}0-9#*]/u;

const BLACK_FLAG = 0x1f3f4;
const TAG_END = 0xe007f;

/** Kinds of concealed characters in `text`, in a fixed order. */
export function concealedIn(text: string): readonly Concealed[] {
  if (!SUSPECT.test(text)) return [];
  const characters = Array.from(text);
  const readsRightToLeft = RIGHT_TO_LEFT.test(text);
  const found = new Set<Concealed>();
  let inFlag = false;
  characters.forEach((character, at) => {
    const code = character.codePointAt(0) ?? 0;
    inFlag = isTag(code) ? inFlag : code === BLACK_FLAG;
    const around = {
      before: characters[at - 1] ?? '',
      after: characters[at + 1] ?? '',
      inFlag,
      readsRightToLeft,
    };
    const kind = kindOf(code, around);
    if (kind !== undefined) found.add(kind);
    if (code === TAG_END) inFlag = false;
  });
  return ORDER.filter((kind) => found.has(kind));
}

const ORDER: readonly Concealed[] = ['zero_width', 'bidi', 'tags', 'variation_selectors', 'invisible'];

interface Around {
  readonly before: string;
  readonly after: string;
  /** Between the black flag and the end tag: the flags of England, Scotland and Wales. */
  readonly inFlag: boolean;
  readonly readsRightToLeft: boolean;
}

function isTag(code: number): boolean {
  return code >= 0xe0000 && code <= TAG_END;
}

/** What an honest text has it for, by kind. */
const EXCUSED: Readonly<Record<Kind, (around: Around, code: number) => boolean>> = {
  zero_width: () => false,
  invisible: () => false,
  tags: ({ inFlag }) => inFlag,
  variation_selectors: ({ before }) => VARIED.test(before),
  joiner: (around, code) => isJoining(code, around),
  direction: ({ readsRightToLeft }) => readsRightToLeft,
  // Shows text in an order in which it is not read, in any script.
  override: () => false,
};
const NAMED: Readonly<Record<Kind, Concealed>> = {
  zero_width: 'zero_width',
  invisible: 'invisible',
  tags: 'tags',
  variation_selectors: 'variation_selectors',
  joiner: 'zero_width',
  direction: 'bidi',
  override: 'bidi',
};

function kindOf(code: number, around: Around): Concealed | undefined {
  if (code < 0xad) return undefined;
  const kind = RANGES.find(([first, last]) => code >= first && code <= last)?.[2];
  return kind === undefined || EXCUSED[kind](around, code) ? undefined : NAMED[kind];
}

function isJoining(code: number, { before, after }: Around): boolean {
  if (JOINING.test(before)) return true;
  return code === 0x200d && PICTOGRAPH.test(before) && PICTOGRAPH.test(after);
}

const ESCAPE = /\\(?:u([0-9a-f]{4})|.)/gisu;

/** The same over JSON text, whose strings may write these characters as escapes; a pair of escapes is one character. */
export function concealedInJson(json: string): readonly Concealed[] {
  const text = json.includes('\\u')
    ? json.replaceAll(ESCAPE, (whole, hex: string | undefined) =>
        hex === undefined ? whole : String.fromCharCode(Number.parseInt(hex, 16)),
      )
    : json;
  return concealedIn(text);
}
