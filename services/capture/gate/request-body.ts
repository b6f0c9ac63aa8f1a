/** The body of a client's POST: whole, bounded, and the same to us as to the server, or it goes no further. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ErrorCode } from '../../../schemas/errors.ts';
import { readLine, type WireMessage } from '../message.ts';

export type BodyOutcome =
  | { readonly kind: 'body'; readonly bytes: Buffer }
  | { readonly kind: 'too_large' }
  /** The client left before it was whole. */
  | { readonly kind: 'gone' };

export function readBody(request: IncomingMessage, maxBytes: number): Promise<BodyOutcome> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else resolve({ kind: 'too_large' });
    });
    request.on('end', () => {
      const [only] = chunks;
      resolve({
        kind: 'body',
        bytes: only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks),
      });
    });
    request.on('error', () => resolve({ kind: 'gone' }));
    request.on('close', () => resolve({ kind: 'gone' }));
  });
}

export type RequestOutcome =
  | { readonly kind: 'messages'; readonly messages: readonly WireMessage[] }
  | { readonly kind: 'refused'; readonly code: ErrorCode };

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Headers that would have the server read other characters than we do. */
function isPlainUtf8(headers: IncomingHttpHeaders): boolean {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return false;
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/iu.exec(headers['content-type'] ?? '')?.[1];
  return charset === undefined || /^utf-?8$/iu.test(charset);
}

function isStrictJson(body: Uint8Array): boolean {
  try {
    JSON.parse(strictDecoder.decode(body));
    return true;
  } catch {
    return false;
  }
}

/** The messages of a body; refused where a server might read something else in it. */
export function readRequest(headers: IncomingHttpHeaders, body: Uint8Array, scope: string): RequestOutcome {
  if (!isPlainUtf8(headers)) return { kind: 'refused', code: 'body_unsupported_type' };
  const { messages } = readLine(body, scope);
  if (messages.length === 0 || !isStrictJson(body)) return { kind: 'refused', code: 'body_malformed' };
  return { kind: 'messages', messages };
}
