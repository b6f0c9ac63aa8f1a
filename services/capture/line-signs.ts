/** What may stand in a line, by its bytes alone: never wrong where it says no, whoever reads the line and however it is written. */
import type { Direction } from './message.ts';

export interface LineSigns {
  /** No message of the line can have a member `method`: none is a request or a notification. */
  readonly isOnlyAnswers: boolean;
  /** What a person is asked or types may stand in it. No body of that is on record, and so it must be in no journal. */
  readonly mayHoldInput: boolean;
}

/** As text, one is looked through faster than its bytes are; a longer one would be copied for it. */
const MAX_TEXT_BYTES = 64 * 1024;

/** In nearly no line: of all that is looked for but `method` one of them would be the beginning. One pass over a short line. */
const UNUSUAL = /\\u00[67]|"(?:inputRe|elicitation)/u;
const SHORT_BYTES = 4 * 1024;

/** Linear in the bytes. */
export function signsOf(direction: Direction, line: Uint8Array): LineSigns {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.length);
  if (line.length > MAX_TEXT_BYTES) return signsIn(bytes, direction);
  const text = bytes.toString('latin1');
  if (line.length > SHORT_BYTES || UNUSUAL.test(text)) return signsIn(text, direction);
  const hasMethod = text.includes('"method"');
  return { isOnlyAnswers: !hasMethod, mayHoldInput: !hasMethod && direction === 'to_server' };
}

function signsIn(text: Pick<string | Buffer, 'includes'>, direction: Direction): LineSigns {
  // Letters of a name may be escaped, and no escape of another character begins so (RFC 8259 §7).
  const isEscaped = text.includes(String.raw`\u006`) || text.includes(String.raw`\u007`);
  const hasMethod = isEscaped || text.includes('"method"');
  return {
    isOnlyAnswers: !hasMethod,
    mayHoldInput:
      isEscaped ||
      // What answers the server is an elicitation's form, roots, or a model's text.
      (direction === 'to_server' && !hasMethod) ||
      // Members inputRequests of a result and inputResponses of a request (MCP 2026-07-28),
      text.includes('"inputRe') ||
      // and elicitations of the error that wants a URL opened (2025-11-25).
      text.includes('"elicitation'),
  };
}
