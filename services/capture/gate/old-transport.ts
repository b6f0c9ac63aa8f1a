/**
 * HTTP+SSE of 2024-11-05 answers a GET with an event that names another place for messages: who went there would pass by
 * the gate. Such a stream is refused, on its headers where they still wait, else in the stream.
 */
import type { CaptureLog } from '../log.ts';
import { errorFor, refuse } from './answers.ts';
import { messageEvent } from './sse.ts';
import type { Answer } from './wire/answer.ts';

/** Answers to a GET: an event stream may turn out to be none of ours. */
export interface OldTransport {
  /** ms for which the headers wait for the first event: after them nothing can be answered any more. */
  readonly headersWaitMs: number;
  /** The first event names another place. */
  readonly onEndpoint: () => void;
}

/** It begins with an event; a GET without a session that is none of it may have to wait for its first. */
const FIRST_EVENT_WAIT_MS = 250;
const UNSUPPORTED = 'upstream_transport_unsupported';

/** What to look for in the answer to a request with `method`; undefined where it cannot be the old transport. */
export function oldTransportOf(
  method: string | undefined,
  mcpSessionId: string | undefined,
  onEndpoint: () => void,
): OldTransport | undefined {
  if (method !== 'GET') return undefined;
  // Who has a session speaks streamable HTTP: nobody is told of another transport late.
  return { headersWaitMs: mcpSessionId === undefined ? FIRST_EVENT_WAIT_MS : 0, onEndpoint };
}

/** Tells the operator and the client of `server`, and ends the answer. */
export function refuseOldTransport(response: Answer, server: string, log: CaptureLog): void {
  log('error', UNSUPPORTED, { server });
  refuse(response, UNSUPPORTED);
  if (!response.isEnded) response.end(messageEvent(errorFor([], UNSUPPORTED)));
}
