/**
 * Lines that the service itself writes (audit, dead letters): one stream a process, topic and tenant, in the event
 * envelope, chained like any other. A send that failed leaves a hole of unknown size behind it, so the next line
 * begins a new stream; the hole stays visible as a stream without an end.
 */
import { encodeEventRecord, partitionFor, recordKey } from '../../../schemas/bus/record.ts';
import { MAX_LINES_PER_RECORD, MAX_RECORD_BYTES } from '../../../schemas/topics.ts';
import { toHex, ZERO_HASH } from '../../evidence/bytes.ts';
import { eventHash } from '../../evidence/event-hash.ts';
import type { Bus, BusMessage, BusProducer } from '../bus/port.ts';
import type { Clock } from '../clock.ts';
import { sha256 } from '../ledger/crypto.ts';
import type { RandomBytes } from '../step.ts';

/** Session and agent of every line that the service writes. */
export const SERVICE_SESSION = 'tripline';
export const SERVICE_AGENT = 'tripline-service';

export interface ServiceStreamDeps {
  readonly topic: string;
  readonly kind: 'audit' | 'dead_letter';
  readonly bus: Bus;
  readonly producer: BusProducer;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}

interface StreamState {
  readonly id: Uint8Array;
  seq: number;
  prev: Uint8Array;
}

export interface ServiceStreams {
  /** Appends one line a body (`field` holds it); resolves when all are durable. Rejects as BusProducer.send. */
  append(tenant: string, field: string, bodies: readonly unknown[]): Promise<void>;
}

const STREAM_BYTES = 16;
const encoder = new TextEncoder();

export function createServiceStreams(deps: ServiceStreamDeps): ServiceStreams {
  const streams = new Map<string, StreamState>();
  const stateOf = (tenant: string): StreamState => {
    const known = streams.get(tenant);
    if (known !== undefined) return known;
    const fresh = { id: deps.randomBytes(STREAM_BYTES), seq: 0, prev: ZERO_HASH };
    streams.set(tenant, fresh);
    return fresh;
  };
  return {
    async append(tenant, field, bodies) {
      if (bodies.length === 0) return;
      const state = stateOf(tenant);
      const messages = encodeAll(deps, { tenant, state, field }, bodies);
      const key = recordKey(tenant, SERVICE_SESSION);
      const partition = partitionFor(key, deps.bus.partitionCount(deps.topic));
      try {
        await deps.producer.send(deps.topic, partition, messages);
      } catch (error) {
        if (streams.get(tenant) === state) streams.delete(tenant);
        throw error;
      }
    },
  };
}

interface Target {
  readonly tenant: string;
  readonly state: StreamState;
  readonly field: string;
}

/** Lines in records of at most 64 lines and 768 KiB; the chain moves on with each. */
function encodeAll(deps: ServiceStreamDeps, target: Target, bodies: readonly unknown[]): BusMessage[] {
  const messages: BusMessage[] = [];
  let lines: Uint8Array[] = [];
  let bytes = 0;
  let first = { seq: target.state.seq, prev: target.state.prev };
  const flush = (): void => {
    if (lines.length === 0) return;
    messages.push(
      encodeEventRecord({
        tenant: target.tenant,
        session: SERVICE_SESSION,
        stream: toHex(target.state.id),
        firstSeq: first.seq,
        prev: toHex(first.prev),
        lines,
      }),
    );
    lines = [];
    bytes = 0;
    first = { seq: target.state.seq, prev: target.state.prev };
  };
  for (const body of bodies) {
    const line = lineOf(deps, target, body);
    if (lines.length === MAX_LINES_PER_RECORD || bytes + line.length + 1 > MAX_RECORD_BYTES) flush();
    lines.push(line);
    bytes += line.length + 1;
    advance(target.state, line);
  }
  flush();
  return messages;
}

function lineOf(deps: ServiceStreamDeps, { state, field }: Target, body: unknown): Uint8Array {
  const line = {
    v: 1,
    kind: deps.kind,
    stream: toHex(state.id),
    seq: state.seq,
    nonce: toHex(deps.randomBytes(STREAM_BYTES)),
    time: new Date(deps.clock.nowMs()).toISOString(),
    session: SERVICE_SESSION,
    agent: SERVICE_AGENT,
    [field]: body,
  };
  return encoder.encode(JSON.stringify(line));
}

function advance(state: StreamState, line: Uint8Array): void {
  state.prev = eventHash({ stream: state.id, seq: state.seq, prev: state.prev, line }, sha256);
  state.seq += 1;
}
