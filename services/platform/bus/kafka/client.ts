/** One kafkajs client with the settings that all parts share, and the only place where its errors become ours. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import kafkajs from 'kafkajs';
import type { ISocketFactory, Kafka, KafkaConfig, LogEntry, RetryOptions, SASLOptions } from 'kafkajs';
import type { Logger } from 'pino';
import { isTriplineError, TriplineError, type ErrorCode } from '../../../../schemas/errors.ts';
import type { Clock } from '../../clock.ts';
import { tellWholeAnswers } from './whole-answers.ts';

export interface KafkaBusOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** Prefix of topic names and groups. */
  readonly namePrefix: string;
  readonly replicationFactor: number;
  /** Bytes of sends that wait to be acknowledged, over all partitions. */
  readonly maxQueuedBytes: number;
  readonly ssl?: boolean;
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  };
  /** A member that is silent this long loses its partitions. The broker's group.min.session.timeout.ms bounds it from below. */
  readonly sessionTimeoutMs: number;
  readonly clock: Clock;
  readonly log?: Logger;
}

/** A time-out does not refresh metadata in kafkajs: short ages find a new leader. */
export const METADATA_MAX_AGE_MS = 2500;
/** Also how long disconnect and rebalance wait for a pending long poll. */
export const MAX_WAIT_MS = 100;
const REQUEST_TIMEOUT_MS = 5000;
const CONNECTION_TIMEOUT_MS = 3000;
const KEEP_ALIVE_MS = 60_000;

/** Repeats without end inside kafkajs: a consumer that waits for its broker, not one that dies. */
export const ENDLESS_RETRY = { retries: 1e9, initialRetryTime: 100, maxRetryTime: 1000 } as const;
/** Endless until the signal: kafkajs compares its count with this number before each repeat, and asks it again each time. */
export function retryUntil(signal: AbortSignal): RetryOptions {
  const retries = { valueOf: () => (signal.aborted ? -1 : ENDLESS_RETRY.retries) } as unknown as number;
  return { ...ENDLESS_RETRY, retries };
}

/** Ends within seconds, so that whoever asked hears of it. */
export const BOUNDED_RETRY = { retries: 5, initialRetryTime: 100, maxRetryTime: 1000 } as const;

/** A client that one part has for itself. */
export interface OwnClient {
  readonly client: Kafka;
  /** Endless until cut. */
  readonly retry: RetryOptions;
  /**
   * Ends every connection and refuses later ones. kafkajs's own disconnect waits for requests under way, and a join is
   * answered only when the whole group has joined (a minute) or never, when the broker is gone.
   */
  cut(): void;
}

export function makeOwnClient(options: KafkaBusOptions): OwnClient {
  const ended = new AbortController();
  const sockets = new Set<Socket>();
  const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (ended.signal.aborted) throw new TriplineError('bus_closed');
    // As kafkajs's own: a name, not an address, is what a certificate is held against. Without TLS `ssl` is null.
    const secure = ssl as typeof ssl | null | undefined;
    const servername = isIP(host) === 0 ? { servername: host } : {};
    const socket =
      secure === null || secure === undefined
        ? connectTcp({ host, port }, onConnect)
        : connectTls({ host, port, ...servername, ...secure }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    tellWholeAnswers(socket);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  const retry = retryUntil(ended.signal);
  return {
    client: makeClient(options, { socketFactory, retry }),
    retry,
    cut: () => {
      ended.abort();
      // With an error: kafkajs hears of that, and rejects what waits for an answer.
      for (const socket of sockets) socket.destroy(new TriplineError('bus_closed'));
    },
  };
}

function makeClient(options: KafkaBusOptions, own?: Pick<KafkaConfig, 'retry' | 'socketFactory'>): Kafka {
  const config: KafkaConfig = {
    brokers: [...options.brokers],
    clientId: options.clientId,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    retry: ENDLESS_RETRY,
    logLevel: kafkajs.logLevel.WARN,
    logCreator: () => (entry) => logEntry(options.log, entry),
    ...own,
  };
  if (options.ssl === true) config.ssl = true;
  if (options.sasl !== undefined) config.sasl = options.sasl as SASLOptions;
  return new kafkajs.Kafka(config);
}

/** kafkajs shouts ERROR at what it mends by itself; faults that matter come through onError and bus errors. */
function logEntry(log: Logger | undefined, entry: LogEntry): void {
  log?.debug({ kafka: entry.log.message, namespace: entry.namespace, error: entry.log['error'] }, 'kafkajs');
}

const CODE_BY_TYPE: Readonly<Record<string, ErrorCode>> = {
  MESSAGE_TOO_LARGE: 'bus_record_too_large',
  RECORD_LIST_TOO_LARGE: 'bus_record_too_large',
  OFFSET_OUT_OF_RANGE: 'bus_offset_lost',
  UNKNOWN_MEMBER_ID: 'bus_stale',
  ILLEGAL_GENERATION: 'bus_stale',
  FENCED_INSTANCE_ID: 'bus_stale',
  TOPIC_AUTHORIZATION_FAILED: 'bus_failed',
  GROUP_AUTHORIZATION_FAILED: 'bus_failed',
  CLUSTER_AUTHORIZATION_FAILED: 'bus_failed',
  SASL_AUTHENTICATION_FAILED: 'bus_failed',
  UNKNOWN_TOPIC_OR_PARTITION: 'bus_failed',
  INVALID_TOPIC_EXCEPTION: 'bus_failed',
  INVALID_REPLICATION_FACTOR: 'bus_failed',
  INVALID_CONFIG: 'bus_failed',
};

/** Protocol error names on the way down to the cause; kafkajs wraps what it gave up on. */
export function errorTypes(error: unknown): string[] {
  const types: string[] = [];
  let current = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    const { type } = current as { type?: unknown };
    if (typeof type === 'string') types.push(type);
    current =
      (current as { originalError?: unknown }).originalError ?? (current as { cause?: unknown }).cause;
  }
  return types;
}

/** Ours from kafkajs's, by protocol error name and never by text or by its `retriable`; unknown ones count as unavailable. */
export function toBusError(error: unknown): TriplineError {
  if (isTriplineError(error)) return error;
  for (const type of errorTypes(error)) {
    const code = CODE_BY_TYPE[type];
    if (code !== undefined) return new TriplineError(code, `Kafka answered ${type}.`, { cause: error });
  }
  return new TriplineError('bus_unavailable', undefined, { cause: error });
}
