/** Secrets of a whole body: of which kind, and where. The value itself is never part of the answer. */
import type { SecretKind } from '../../schemas/labels/v1.ts';
import { visitJsonText, visitJsonValue, type TextPlace, type TextVisitor } from './json-strings.ts';
import { MAX_FOUND, secretsIn } from './secrets.ts';

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
  const parts = place.path().map((part) => (typeof part === 'number' || PLAIN_NAME.test(part) ? `${part}` : '*'));
  if (place.isName) parts[parts.length - 1] = '*';
  const pointer = parts.map((part) => `/${part}`).join('');
  return pointer.length <= MAX_POINTER ? pointer : `${pointer.slice(0, MAX_POINTER - 1)}…`;
}

class Finder {
  readonly secrets: BodySecret[] = [];
  cut = false;
  private left: number;
  private readonly ignore: ReadonlySet<SecretKind>;

  constructor(maxCharacters: number, ignore: ReadonlySet<SecretKind>) {
    this.left = maxCharacters;
    this.ignore = ignore;
  }

  readonly visit: TextVisitor = (text, place) => {
    if (this.left <= 0) {
      this.cut = true;
      return false;
    }
    const looked = text.length > this.left ? text.slice(0, this.left) : text;
    if (looked.length < text.length) this.cut = true;
    this.left -= text.length + 1;
    const near = (): string => place.path().join(' ');
    for (const { kind } of secretsIn(looked, { name: place.isName ? '' : place.name, near })) {
      if (!this.ignore.has(kind)) this.add({ kind, at: pointerOf(place) });
    }
    return this.secrets.length < MAX_FOUND;
  };

  private add(secret: BodySecret): void {
    if (this.secrets.length >= MAX_FOUND) return;
    if (!this.secrets.some(({ kind, at }) => kind === secret.kind && at === secret.at)) this.secrets.push(secret);
  }
}

const NOTHING_IGNORED: ReadonlySet<SecretKind> = new Set();
const decoder = new TextDecoder();

export interface LookOptions {
  /** Bytes of a body on the wire, or characters of a parsed one, that are looked at. */
  readonly maxLookedAt?: number;
  readonly ignore?: ReadonlySet<SecretKind>;
}

/** Secrets of a body as it stood on the wire: JSON, or JSON that was cut or broken. Pure, never throws, linear. */
export function secretsInJson(body: Uint8Array | string, options: LookOptions = {}): BodySecrets {
  const { maxLookedAt = MAX_LOOKED_AT, ignore = NOTHING_IGNORED } = options;
  const part = body.length > maxLookedAt ? body.slice(0, maxLookedAt) : body;
  const finder = new Finder(maxLookedAt, ignore);
  visitJsonText(typeof part === 'string' ? part : decoder.decode(part), finder.visit);
  return { secrets: finder.secrets, cut: finder.cut || part.length < body.length };
}

/** The same of a parsed body. */
export function secretsInValue(body: unknown, options: LookOptions = {}): BodySecrets {
  const { maxLookedAt = MAX_LOOKED_AT, ignore = NOTHING_IGNORED } = options;
  const finder = new Finder(maxLookedAt, ignore);
  visitJsonValue(body, finder.visit);
  return { secrets: finder.secrets, cut: finder.cut };
}
