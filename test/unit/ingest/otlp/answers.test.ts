import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, TriplineError, type ErrorCode } from '../../../../schemas/errors.ts';
import { statusOf } from '../../../../services/ingest/otlp/answers.ts';

/** The OTLP specification's list; an exporter drops what is answered with any other failure. */
const RETRYABLE = [429, 502, 503, 504];

test('a failure has a retryable status exactly where sending again can help', () => {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  assert.ok(codes.length > 30);
  for (const code of codes) {
    // A bus that was closed is a service that stops: the next one takes what this one does not.
    const helps = ERRORS[code].retryable || code === 'bus_closed';
    assert.equal(RETRYABLE.includes(statusOf(new TriplineError(code))), helps, code);
  }
  assert.equal(statusOf(new TriplineError('body_malformed')), 400);
  assert.equal(statusOf(new TriplineError('internal')), 503);
  assert.equal(statusOf(new TriplineError('rate_limited')), 429);
});
