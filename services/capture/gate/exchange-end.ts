/** What the end of an exchange means: for its calls that got no answer, for its stream and for the MCP session. */
import type { ExchangesEnd } from '../exchanges.ts';
import type { GateSessions } from './sessions.ts';
import type { GateStream, StreamTable } from './streams.ts';

export type End = 'complete' | 'client_gone' | 'server_gone' | 'refused';

/** An exchange that is over. */
export interface EndedExchange {
  readonly how: End;
  readonly method: string | undefined;
  /** MCP session of the client's request. */
  readonly mcpSessionId: string | undefined;
  /** Its requests, as the observer keys them. */
  readonly keys: readonly string[];
  /** Their ids belong to this exchange alone: nothing else can answer them. */
  readonly ownsIds: boolean;
  /** Of a revision without sessions, where the client that leaves cancels. */
  readonly isModern: boolean;
  /** The answer carried an id to resume after, or promised one elsewhere. */
  readonly mayResume: boolean;
  /** HTTP status of the server; 0 where it never answered. */
  readonly status: number;
}

export interface EndOptions {
  readonly streams: StreamTable;
  readonly sessions: GateSessions;
  readonly resumeGraceMs: number;
  readonly nowMs: () => number;
}

const CLIENT_LEFT = 'The client closed the stream.';

/** Frees the stream of an exchange that is over, and says what is to be said of its calls. Call it once. */
export function endExchange(stream: GateStream, ended: EndedExchange, options: EndOptions): void {
  const { streams, sessions, nowMs } = options;
  stream.capture.afterLook(() => endCalls(stream, ended, options));
  stream.busy = Math.max(0, stream.busy - 1);
  stream.lastUsedMs = nowMs();
  sessions.touch(stream.scope);
  if (ended.method === 'GET') endListening(stream, options);
  if (isSessionOver(stream, ended)) streams.end(stream);
}

function endListening(stream: GateStream, { resumeGraceMs, nowMs }: EndOptions): void {
  stream.listening = Math.max(0, stream.listening - 1);
  if (stream.listening === 0) stream.extendDetached(nowMs() + resumeGraceMs);
}

/** The server has forgotten it, or the client has ended it; a beginning that was never named serves no further request. */
function isSessionOver(stream: GateStream, { mcpSessionId, method, status }: EndedExchange): boolean {
  if (stream.key === undefined) return true;
  if (mcpSessionId === undefined) return false;
  const isDeleted = method === 'DELETE' && status >= 200 && status < 300;
  return isDeleted || status === 404;
}

function endCalls(stream: GateStream, ended: EndedExchange, { resumeGraceMs, nowMs }: EndOptions): void {
  if (ended.keys.length === 0) return;
  const keys = stream.capture.unanswered(ended.keys);
  if (keys.length === 0) return;
  // A broken stream of a session may be resumed under its last event id; without sessions nothing is.
  if (ended.mcpSessionId !== undefined && ended.mayResume && ended.status < 300)
    return stream.detach(keys, nowMs() + resumeGraceMs);
  stream.capture.endCalls(keys, endOfCalls(ended));
}

function endOfCalls({ how, isModern, status, ownsIds: final }: EndedExchange): ExchangesEnd {
  if (how === 'client_gone' && isModern) return { outcome: 'cancelled', message: CLIENT_LEFT, final };
  if (how === 'complete' && status >= 400) return { outcome: 'rpc_error', message: `HTTP ${status}`, final };
  return { outcome: 'abandoned', final };
}
