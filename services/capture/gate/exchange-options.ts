/** What an exchange is given: the request and its answer, who comes, and what all exchanges of a gate share. */
import type { CaptureLog } from '../log.ts';
import type { GateUpstream } from './config.ts';
import type { Entrance } from './entrance.ts';
import type { ParamHeaders } from './param-headers.ts';
import type { BodyLimits, BodyOutcome, HeldBytes } from './request-body.ts';
import type { GateSessions } from './sessions.ts';
import type { StreamTable } from './streams.ts';
import type { Forwardable, UpstreamClient } from './upstream.ts';
import type { Answer } from './wire/answer.ts';
import type { RawHeaders } from './wire/header-fields.ts';

/** An upstream and what is kept beside it. */
export interface Served {
  readonly upstream: GateUpstream;
  readonly client: UpstreamClient;
  readonly params: ParamHeaders;
}

/** A client's request; its body is read once it is asked for. */
export interface GateRequest extends Forwardable {
  readonly method: string;
  body(limits: BodyLimits): BodyOutcome | Promise<BodyOutcome>;
  /** Nobody wants its body. */
  discard(): void;
}

/** What all exchanges of a gate share. */
export interface GateSite {
  readonly streams: StreamTable;
  readonly sessions: GateSessions;
  /** What the bodies of all exchanges hold. */
  readonly held: HeldBytes;
  readonly resumeGraceMs: number;
  readonly maxMessageBytes: number;
  readonly log: CaptureLog;
}

export interface ExchangeOptions {
  readonly entrance: Entrance;
  readonly site: GateSite;
  readonly request: GateRequest;
  readonly response: Answer;
  /** Numbers the exchanges of this gate. */
  readonly number: number;
  /** Changes the headers of an answer (resource metadata); the very same array where nothing is changed. */
  readonly rewriteHeaders: (headers: RawHeaders) => RawHeaders;
}
