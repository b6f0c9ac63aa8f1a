/** Secrets of a whole body: of which kind, and where. The value itself is never part of the answer. */
import type { SecretKind } from '../../schemas/labels/v1.ts';
import { visitJsonText, visitJsonValue, type TextPlace, type TextVisitor } from './json-strings.ts';
import { mayHoldSecret } from './suspicion.ts';
import { MAX_FOUND, MIN_SECRET, secretsIn } from './secrets.ts';

export interface BodySecret {
  readonly kind: SecretKind;
  /** JSON Pointer (RFC 6901) into the body; `*` for a name that is long or odd, since a secret may stand in a name too. */
  readonly at: string;
}

export interface BodySecrets {
  readonly secrets: readonly BodySecret[];
  /** Part of the body was not looked at. */
  readonly cut: boolean;
}

/** Characters of a body that are looked at. */
export const MAX_LOOKED_AT = 256 * 1024;
/** Names that say nothing secret: letters, with few digits behind. */
const PLAIN_NAME = /^[A-Za-z_$][A-Za-z_$-]{0,30}\d{0,3}$/;
const MAX_POINTER = 256;

function pointerOf(place: TextPlace): string {
  const parts = place
    .path()
    .map((part) => (typeof part === 'number' || PLAIN_NAME.test(part) ? `${part}` : '*'));
  if (place.isName) parts[parts.length - 1] = '*';
  const pointer = parts.map((part) => `/${part}`).join('');
  return pointer.length <= MAX_POINTER ? pointer : `${pointer.slice(0, MAX_POINTER - 1)}…`;
}

const MAX_KEY_TEXT = 4_096;

/** A private key is found by its first characters: up to its end. */
function wholeSecret(text: string, kind: SecretKind, start: number, end: number): string {
  if (kind !== 'private_key') return text.slice(start, end);
  const whole = text.slice(start, start + MAX_KEY_TEXT);
  const close = whole.indexOf('-----END');
  return close === -1 ? whole : whole.slice(0, close);
}

class Finder {
  readonly secrets: BodySecret[] = [];
  cut = false;
  private left: number;
  private readonly ignore: ReadonlySet<SecretKind>;
  private readonly taken: LookOptions['taken'];

  constructor({ maxLookedAt = MAX_LOOKED_AT, ignore = NOTHING_IGNORED, taken }: LookOptions) {
    this.left = maxLookedAt;
    this.ignore = ignore;
    this.taken = taken;
  }

  readonly visit: TextVisitor = (text, place) => {
    if (this.left <= 0) {
      this.cut = true;
      return false;
    }
    const looked = text.length > this.left ? text.slice(0, this.left) : text;
    if (looked.length < text.length) this.cut = true;
    this.left -= text.length + 1;
    if (looked.length < MIN_SECRET) return true;
    for (const { kind, start, end } of secretsIn(looked, place)) {
      if (this.ignore.has(kind)) continue;
      this.add({ kind, at: pointerOf(place) });
      this.taken?.(wholeSecret(looked, kind, start, end));
    }
    return this.secrets.length < MAX_FOUND;
  };

  private add(secret: BodySecret): void {
    if (this.secrets.length >= MAX_FOUND) return;
    if (!this.secrets.some(({ kind, at }) => kind === secret.kind && at === secret.at))
      this.secrets.push(secret);
  }
}

const NOTHING_IGNORED: ReadonlySet<SecretKind> = new Set();
const decoder = new TextDecoder();

export interface LookOptions {
  /** Bytes of a body on the wire, or characters of a parsed one, that are looked at. */
  readonly maxLookedAt?: number;
  readonly ignore?: ReadonlySet<SecretKind>;
  /** Is handed each secret itself, for those who follow it. Never on record. */
  readonly taken?: (text: string) => void;
}

const head = (body: Uint8Array | string, length: number): Uint8Array | string =>
  typeof body === 'string' ? body.slice(0, length) : body.subarray(0, length);

/** Secrets of a body as it stood on the wire: JSON, or JSON that was cut or broken. Pure, never throws, linear. */
export function secretsInJson(body: Uint8Array | string, options: LookOptions = {}): BodySecrets {
  const { maxLookedAt = MAX_LOOKED_AT } = options;
  const part = body.length > maxLookedAt ? head(body, maxLookedAt) : body;
  const finder = new Finder(options);
  const text = typeof part === 'string' ? part : decoder.decode(part);
  if (mayHoldSecret(text)) visitJsonText(text, finder.visit);
  return { secrets: finder.secrets, cut: finder.cut || part.length < body.length };
}

const NOTHING: BodySecrets = Object.freeze({ secrets: Object.freeze([]), cut: false });

/** One look over all texts costs a tenth of a look at each; a body without a secret has been looked at whole then. */
function mayHold(body: unknown): boolean {
  if (body === undefined || body === null) return false;
  return mayHoldSecret(typeof body === 'string' ? body : JSON.stringify(body));
}

/** The same of a parsed body. */
export function secretsInValue(body: unknown, options: LookOptions = {}): BodySecrets {
  if (!mayHold(body)) return NOTHING;
  const finder = new Finder(options);
  visitJsonValue(body, finder.visit);
  return { secrets: finder.secrets, cut: finder.cut };
}
