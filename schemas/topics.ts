/** Topics of the bus. Partition counts are written down at first start and never change within a generation (v1). */
export type Cleanup = 'delete' | 'compact';

export interface TopicSpec {
  readonly name: string;
  readonly cleanup: Cleanup;
  /** Undefined for compacted topics: the newest record of a key stays for ever. */
  readonly retentionMs: number | undefined;
  /** `data` topics take the deployment's partition count (embedded 4, cluster 12); `single` topics have one. */
  readonly partitioning: 'data' | 'single';
}

const DAY_MS = 86_400_000;

export const TOPICS = {
  toolcalls: {
    name: 'tripline.toolcalls.v1',
    cleanup: 'delete',
    retentionMs: 7 * DAY_MS,
    partitioning: 'data',
  },
  alerts: { name: 'tripline.alerts.v1', cleanup: 'delete', retentionMs: 30 * DAY_MS, partitioning: 'data' },
  audit: { name: 'tripline.audit.v1', cleanup: 'delete', retentionMs: 30 * DAY_MS, partitioning: 'data' },
  deadletters: {
    name: 'tripline.deadletters.v1',
    cleanup: 'delete',
    retentionMs: 30 * DAY_MS,
    partitioning: 'data',
  },
  controls: {
    name: 'tripline.controls.v1',
    cleanup: 'compact',
    retentionMs: undefined,
    partitioning: 'single',
  },
  facts: { name: 'tripline.facts.v1', cleanup: 'delete', retentionMs: 7 * DAY_MS, partitioning: 'data' },
  detectState: {
    name: 'tripline.detect-state.v1',
    cleanup: 'compact',
    retentionMs: undefined,
    partitioning: 'single',
  },
  verdicts: {
    name: 'tripline.verdicts.v1',
    cleanup: 'delete',
    retentionMs: DAY_MS / 24,
    partitioning: 'single',
  },
  /** Signed answers to requests for approval: a view that hosts are told from; the evidence is in topic audit. */
  approvals: {
    name: 'tripline.approvals.v1',
    cleanup: 'delete',
    retentionMs: 30 * DAY_MS,
    partitioning: 'single',
  },
  outbox: { name: 'tripline.outbox.v1', cleanup: 'compact', retentionMs: undefined, partitioning: 'single' },
} as const satisfies Record<string, TopicSpec>;

export type TopicKey = keyof typeof TOPICS;

/** The four topics that `record` chains into the ledger and stores. */
export const LEDGER_TOPICS: readonly string[] = [
  TOPICS.toolcalls.name,
  TOPICS.alerts.name,
  TOPICS.audit.name,
  TOPICS.deadletters.name,
];

/** Consumer group of step record; who shows its lag asks the bus for it. */
export const RECORD_GROUP = 'tripline-record';

/** Record headers (UTF-8 strings). `format` decides how a value is read. */
export const HEADERS = {
  /** `events/1` (NDJSON of one stream) or `tick` (empty value; moves the watermark, no ledger entry). */
  format: 'format',
  tenant: 'tenant',
  /** 32 lower-case hex digits. */
  stream: 'stream',
  /** Decimal sequence of the first line. */
  firstSeq: 'first-seq',
  /** 64 lower-case hex digits: event hash before the first line. Absent where the writer does not know it; `record` then takes it from the stream's own state. */
  prev: 'prev',
  traceparent: 'traceparent',
  /** Optional batch signature of the producer (base64). */
  batchSignature: 'batch-sig',
} as const;

export const FORMAT_EVENTS = 'events/1';
export const FORMAT_TICK = 'tick';
/** Value: a verdict of schemas/verdict as JSON. */
export const FORMAT_VERDICT = 'verdict/1';
/** Value: a signed approval of schemas/approval as JSON. */
export const FORMAT_APPROVAL = 'approval/1';

/** Limits of a record: 1-64 lines of one stream and one session, at most 768 KiB. */
export const MAX_LINES_PER_RECORD = 64;
export const MAX_RECORD_BYTES = 768 * 1024;
