import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HEADERS, TOPICS } from '../../../schemas/topics.ts';
import { classMappingVersion } from '../../../services/evidence/projection.ts';
import type { BusRecord } from '../../../services/platform/bus/port.ts';
import { ed25519Verify, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { prepareRecord } from '../../../services/record/prepare.ts';
import { TABLE_ORDER, type BatchOutcome, type TableName } from '../../../services/record/outcome.ts';
import { recordStep } from '../../../services/record/step.ts';
import type { StreamState } from '../../../services/record/stream-state.ts';
import { readNativeBlock } from '../../support/native-block.ts';

const TOPIC = TOPICS.toolcalls.name;
const SETTINGS = {
  deployment: 'test',
  mapping: classMappingVersion({ mappings: [], internalHosts: [] }, sha256),
  sha256,
  ed25519Verify,
};

const arbitraryRecord = fc.record({
  tenant: fc.constantFrom('acme', 'other'),
  stream: fc.constantFrom('aa'.repeat(16), 'bb'.repeat(16)),
  firstSeq: fc.integer({ min: 0, max: 6 }),
  count: fc.integer({ min: 0, max: 3 }),
  variant: fc.constantFrom('x', 'x', 'x', 'y'),
  broken: fc.boolean(),
  prev: fc.constantFrom(undefined, undefined, 'ee'.repeat(32)),
  appendMs: fc.integer({ min: 1_764_000_000_000, max: 1_764_000_100_000 }),
});

type Sent = typeof arbitraryRecord extends fc.Arbitrary<infer Value> ? Value : never;

function busRecord(sent: Sent, offset: number): BusRecord {
  const lines = Array.from({ length: sent.count }, (_, at) =>
    sent.broken && at === 1
      ? '{'
      : JSON.stringify({
          v: 1,
          kind: 'call.intent',
          stream: sent.stream,
          seq: sent.firstSeq + at,
          nonce: 'cd'.repeat(16),
          time: `2025-11-24T16:00:0${sent.firstSeq}.000Z`,
          session: `s-${sent.stream.slice(0, 2)}`,
          agent: 'a',
          callId: `c-${sent.variant}`,
          tool: 't',
        }),
  );
  return {
    topic: TOPIC,
    partition: 0,
    offset,
    appendMs: sent.appendMs,
    key: null,
    value: Buffer.from(lines.join('\n')),
    headers: {
      [HEADERS.format]: sent.count === 0 ? 'tick' : 'events/1',
      [HEADERS.tenant]: sent.tenant,
      [HEADERS.stream]: sent.stream,
      [HEADERS.firstSeq]: String(sent.firstSeq),
      ...(sent.prev === undefined ? {} : { [HEADERS.prev]: sent.prev }),
    },
  };
}

/** What does not depend on how rows are put into blocks. */
function rowBytes(table: BatchOutcome['tables'][TableName]): Buffer {
  if (table.format === 'RowBinary') return Buffer.from(table.bytes());
  return Buffer.from(
    readNativeBlock(table.bytes())
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  );
}

/** All rows of each table, and the heads, after the records went through in batches of the given sizes. */
function run(records: readonly BusRecord[], sizes: readonly number[]) {
  let state = { topic: TOPIC, partition: 0, nextOffset: 0, watermarkMs: 0, heads: new Map() as never };
  const streams = new Map<string, StreamState>();
  const rows = Object.fromEntries(TABLE_ORDER.map((table) => [table, [] as Buffer[]]));
  let at = 0;
  let batch = 0;
  while (at < records.length) {
    const size = sizes[batch % sizes.length] ?? 1;
    const prepared = records.slice(at, at + size).map(prepareRecord);
    const outcome = recordStep(prepared, state, streams, SETTINGS);
    for (const table of TABLE_ORDER) rows[table]!.push(rowBytes(outcome.tables[table]));
    for (const [key, draft] of outcome.streams) streams.set(key, draft.settle(1_000));
    state = outcome.state as typeof state;
    at += size;
    batch += 1;
  }
  const bytes = TABLE_ORDER.map((table) => Buffer.concat(rows[table]!).toString('base64'));
  return {
    bytes,
    heads: Object.fromEntries(state.heads as Map<string, { size: number }>),
    watermarkMs: state.watermarkMs,
  };
}

test('however the records are cut into batches, every row and head is the same', () => {
  fc.assert(
    fc.property(
      fc.array(arbitraryRecord, { minLength: 1, maxLength: 24 }),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
      (sent, sizes) => {
        const records = sent.map(busRecord);
        assert.deepEqual(run(records, sizes), run(records, [records.length]));
      },
    ),
    { numRuns: 300 },
  );
});

/** A chain whose start nobody names, an unreadable line in it, and a LATE line that names the start afterwards. */
function lateStart(): Sent[] {
  const base = { tenant: 'other' as const, stream: 'bb'.repeat(16), appendMs: 1_764_000_000_000 };
  return [
    { ...base, firstSeq: 4, count: 3, variant: 'y', broken: false, prev: undefined },
    { ...base, firstSeq: 4, count: 2, variant: 'x', broken: true, prev: 'ee'.repeat(32) },
    { ...base, firstSeq: 4, count: 3, variant: 'x', broken: true, prev: undefined },
    { ...base, firstSeq: 1, count: 3, variant: 'x', broken: false, prev: undefined },
  ];
}

test('a second delivery of everything enters nothing but what had no place in a stream', () => {
  fc.assert(
    fc.property(fc.array(arbitraryRecord, { minLength: 1, maxLength: 16 }), (sent) => {
      const once = sent.map(busRecord);
      const twice = [...once, ...once.map((record, at) => ({ ...record, offset: once.length + at }))];
      const first = run(once, [once.length]).heads;
      const second = run(twice, [twice.length]).heads;
      for (const [log, head] of Object.entries(second)) assert.equal(head.size, first[log]?.size);
    }),
    { numRuns: 300, examples: [[lateStart()]] },
  );
});
