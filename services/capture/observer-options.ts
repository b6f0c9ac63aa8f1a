/** What an observer is given: names of the connection, time, randomness, hashes and the decision about each call. */
import type { CallDecision, ControlledCall } from '../../schemas/control/decide.ts';
import type { TRANSPORTS } from '../../schemas/event/v1.ts';
import type { ClassMappingLine } from '../../detectors/classify/index.ts';
import type { BoundaryConfig } from '../../schemas/labels/v1.ts';
import type { HoldSettings } from './holds.ts';
import type { DraftBody } from './draft.ts';
import type { CallPolicy, ShownArgs } from './policy/call-policy.ts';
import type { Sha256Hex } from './registry.ts';
import type { SpanSource } from './spans.ts';

export interface ObserverClock {
  nowMs(): number;
  monotonicMs(): number;
}

export interface ObserverOptions {
  /** The operator's name of the server. */
  readonly server: string;
  readonly transport: (typeof TRANSPORTS)[number];
  readonly agent: string;
  readonly session: string;
  readonly clock: ObserverClock;
  readonly sha256Hex: Sha256Hex;
  /** n random bytes as lower-case hex. */
  readonly randomHex: (bytes: number) => string;
  readonly spans: SpanSource;
  readonly decide: (call: ControlledCall) => CallDecision;
  readonly mappings: () => readonly ClassMappingLine[];
  /** Write our traceparent into calls that leave. Off: not a byte changes. */
  readonly injectTrace: boolean;
  /** A call without an answer for this long is put on record as `timeout`. */
  readonly callTimeoutMs: number;
  readonly maxPendingCalls: number;
  /** How what crosses the boundary is labelled, and what of it the host wants on the wire; asked at each message. */
  readonly boundary?: (() => BoundaryConfig | undefined) | undefined;
  /** Calls that are held back for a verdict. */
  readonly hold?: HoldSettings;
  /** What the host's policy says of a call; asked after the controls. */
  readonly policy?: CallPolicy | undefined;
  /** Arguments of a call as they go on record, where that is not as they came. */
  readonly shown?: ((args: DraftBody, tool: string) => ShownArgs) | undefined;
}
