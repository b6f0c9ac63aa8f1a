/** What a recorded connection is made of: how shells ask for one, what those of one process share, and its intervals. */
import type { ControlGuard } from './controls/guard.ts';
import type { HostLabels } from './labels/host-labels.ts';
import type { CaptureLog } from './log.ts';
import type { ObserverOptions } from './observer-options.ts';
import type { HostPolicy } from './policy/host-policy.ts';
import type { HostRedaction } from './redaction/host-redaction.ts';
import type { Drainer } from './recorder/drain.ts';
import type { LineFollower } from './recorder/line-follower.ts';
import type { Publisher } from './recorder/publisher.ts';
import type { CaptureSettings } from './settings.ts';
import type { SpanSource } from './spans.ts';

export interface CaptureOptions {
  readonly settings: CaptureSettings;
  /** The operator's name of the server. */
  readonly server: string;
  readonly transport: ObserverOptions['transport'];
  /** Names the session where settings have no id: the process that started this one (tap), or this one (decorator). */
  readonly hostPid: number;
  readonly log: CaptureLog;
  /** Spans of a tracer; without one the ids are random. */
  readonly spans?: SpanSource;
  readonly timings?: Partial<CaptureTimings>;
  /** The session, where the process tree does not tell it (gate). Settings' own id goes before it. */
  readonly session?: string;
  /** Fields of stream.open. */
  readonly opening?: Readonly<Record<string, unknown>>;
  /** What connections of one process share; else this one has its own. */
  readonly shared?: SharedParts;
  /** Where another thread lets the lines of this connection go. */
  readonly follower?: LineFollower;
}

/** One control channel, one drainer and one connection to the service for all streams of a process. */
export interface SharedParts {
  readonly guard: ControlGuard;
  readonly drainer: Drainer;
  readonly publisher: Publisher;
  readonly policy: HostPolicy | undefined;
  readonly redaction: HostRedaction | undefined;
  readonly labels: HostLabels | undefined;
}

export interface CaptureTimings {
  readonly flushIntervalMs: number;
  readonly heartbeatMs: number;
  readonly closeTimeoutMs: number;
  readonly callTimeoutMs: number;
  readonly channelLostAfterMs: number;
  readonly firstWaitMs: number;
}

const TIMINGS: CaptureTimings = {
  flushIntervalMs: 5,
  heartbeatMs: 30_000,
  closeTimeoutMs: 2_000,
  callTimeoutMs: 3_600_000,
  channelLostAfterMs: 5_000,
  firstWaitMs: 500,
};
/** Where calls need the channel. */
const NEEDED_FIRST_WAIT_MS = 3_000;

export function timingsOf({ settings, timings }: CaptureOptions): CaptureTimings {
  // A call that is held back needs the channel for its verdict.
  const needsChannel = settings.onChannelLost === 'closed' || settings.hold !== undefined;
  return { ...TIMINGS, ...(needsChannel ? { firstWaitMs: NEEDED_FIRST_WAIT_MS } : {}), ...timings };
}
