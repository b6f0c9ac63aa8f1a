/** What the observer says of the wire, before the recorder gives it a place in the stream. */
import type { Event, EventKind } from '../../schemas/event/v1.ts';
import type { Span } from './json-scan.ts';

/** A body as it stood on the wire: a span of bytes that are valid only until the next message, hashed already. */
export interface DraftBody {
  readonly of: 'args' | 'result';
  readonly bytes: Uint8Array;
  readonly span: Span;
  /** SHA-256 of the span, lower-case hex. */
  readonly hash: string;
}

/** Fields that the recorder owns are left out. */
export type DraftFields = Omit<
  Event,
  'v' | 'kind' | 'stream' | 'seq' | 'nonce' | 'time' | 'session' | 'agent' | 'args' | 'result'
>;

export interface EventDraft {
  readonly kind: EventKind;
  /** Unix ms. */
  readonly timeMs: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly body?: DraftBody;
  /** Never inline: the body goes as call.body parts of a call whose result is on record already. */
  readonly partsOnly?: boolean;
}

const MAX_NAME_CHARACTERS = 256;
/** Nearly every name: nothing in it is to be replaced. */
const PLAIN_NAME = /^[\x20-\x7e]{1,256}$/;

/**
 * A name that the event schema takes: control characters become U+FFFD, it is cut at 256 characters, and an empty one
 * is `(empty)`. A tool name comes from a model or an attacker; a strange one must not keep a call off the record.
 */
export function recordableName(name: string): string {
  if (PLAIN_NAME.test(name)) return name;
  const cut = name.length > MAX_NAME_CHARACTERS ? name.slice(0, MAX_NAME_CHARACTERS) : name;
  // A cut or a lone surrogate is no Unicode text and could not be written as UTF-8.
  const clean = cut.replaceAll(/[\p{Cc}\p{Cs}]/gu, '\uFFFD');
  return clean === '' ? '(empty)' : clean;
}
