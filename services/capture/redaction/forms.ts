/** The forms in which a value may come again: as it is, escaped, percent-encoded, hex, base64 at each alignment, reversed. */
import { canonical } from './marker.ts';

export interface ValueForm {
  readonly text: string;
  /** Not the value's own characters. */
  readonly isEncoded: boolean;
  /** A character before it, which it shares with what stands there, goes too. */
  readonly lead: number;
}

/** Shorter forms would be found by chance. */
export const MIN_FORM = 6;

const escapedInJson = (text: string): string => JSON.stringify(text).slice(1, -1);

/** RFC 3986 and form encoding; unpaired surrogates have no UTF-8. */
function percentForms(text: string, bytes: Buffer): readonly string[] {
  const encoded = encodeURIComponent(text);
  const lower = encoded.replaceAll(/%[0-9A-F]{2}/g, (triple) => triple.toLowerCase());
  const form = encoded.replaceAll('%20', '+');
  const every = bytes.toString('hex').replaceAll(/../g, '%$&');
  return [encoded, lower, form, every, every.toUpperCase()];
}

/** The characters of base64 that depend on the value alone, with 0, 1 or 2 bytes before it in its group of three. */
function base64Forms(bytes: Buffer): readonly ValueForm[] {
  return [0, 1, 2].flatMap((before) => {
    const shifted = Buffer.concat([Buffer.alloc(before), bytes]);
    const from = Math.ceil((before * 8) / 6);
    const to = Math.floor((shifted.length * 8) / 6);
    const lead = before === 0 ? 0 : 1;
    return [...new Set([shifted.toString('base64'), shifted.toString('base64url')])].map((text) => ({
      text: text.slice(from, to),
      isEncoded: true,
      lead,
    }));
  });
}

function cardForms(text: string): readonly string[] {
  if (!/^\d{12,19}$/.test(text)) return [];
  return [' ', '-'].map((separator) => (text.match(/\d{1,4}/g) ?? []).join(separator));
}

/** Of a canonical value; each text once, the value itself first. */
export function formsOf(value: string): readonly ValueForm[] {
  const plain = value.replaceAll(/\p{Cs}/gu, '\uFFFD');
  const bytes = Buffer.from(plain);
  const own = [value, ...cardForms(value)].map((text) => ({ text, isEncoded: false, lead: 0 }));
  const encoded = [
    escapedInJson(value),
    ...percentForms(plain, bytes),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    Array.from(value).toReversed().join(''),
  ].map((text) => ({ text, isEncoded: true, lead: 0 }));
  const seen = new Set<string>();
  return [...own, ...encoded, ...base64Forms(bytes)].filter(({ text }) => {
    if (text.length < MIN_FORM || seen.has(text)) return false;
    seen.add(text);
    return true;
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decodedUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function unescaped(text: string): string | undefined {
  try {
    return String(JSON.parse(`"${text}"`));
  } catch {
    return undefined;
  }
}

function unpercent(text: string): readonly string[] {
  try {
    return [decodeURIComponent(text), decodeURIComponent(text.replaceAll('+', ' '))];
  } catch {
    return [];
  }
}

/** What the base64 around [from, to) holds, with bytes more or less at either end. */
function base64Values(text: string, from: number, to: number): readonly string[] {
  const values: string[] = [];
  for (let start = Math.max(0, from - 2); start <= from + 1; start++) {
    const bytes = Buffer.from(text.slice(start, to + 2).replaceAll(/[^A-Za-z0-9+/_-]+.*$/gsu, ''), 'base64');
    for (let first = 0; first < 3; first++)
      for (let last = 0; last < 4; last++) {
        const value = decodedUtf8(bytes.subarray(first, Math.max(first, bytes.length - last)));
        if (value !== undefined) values.push(value);
      }
  }
  return values;
}

/** True where [from, to) of a text is a form of a value for which `isValue` answers true. */
export function isFormOf(
  text: string,
  span: { readonly from: number; readonly to: number },
  isValue: (value: string) => boolean,
): boolean {
  const { from, to } = span;
  const found = text.slice(from, to);
  const isHex = /^(?:[0-9a-f]{2}|[0-9A-F]{2})+$/.test(found);
  const values = [
    found,
    unescaped(found),
    ...unpercent(found),
    isHex ? decodedUtf8(Buffer.from(found, 'hex')) : undefined,
    Array.from(found).toReversed().join(''),
    ...base64Values(text, from, to),
  ];
  return values.some((value) => value !== undefined && isValue(canonical(value)));
}
