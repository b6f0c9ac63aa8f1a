/** The body of a request as bytes, inflated within bounds. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ERRORS, TriplineError } from '../../schemas/errors.ts';

const gunzipAsync = promisify(gunzip);

/** In this scope a body is bytes, whatever its type says; the type is checked by the route. */
export function takeBytes(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

/** Media type without its parameters, lower case. */
export function mediaTypeOf(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Throws body_unsupported_type, body_too_large, body_malformed. */
export async function bodyOf(request: FastifyRequest, maxBytes: number): Promise<Uint8Array> {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding === 'identity') return body;
  if (encoding !== 'gzip')
    throw new TriplineError('body_unsupported_type', 'only gzip is understood as content-encoding');
  try {
    return await gunzipAsync(body, { maxOutputLength: maxBytes });
  } catch (cause) {
    const tooLarge = (cause as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
    throw new TriplineError(
      tooLarge ? 'body_too_large' : 'body_malformed',
      tooLarge ? ERRORS.body_too_large.meaning : 'not valid gzip',
      { cause },
    );
  }
}
