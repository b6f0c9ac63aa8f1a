/** Whoever may write to the store edits one column of one row: verify says which row it is. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { alertLine } from '../../../detectors/engine/alert.ts';
import { HEADERS, TOPICS } from '../../../schemas/topics.ts';
import { verifyBundle } from '../../../services/evidence/verify.ts';
import { nodeCrypto } from '../../../services/platform/ledger/crypto.ts';
import {
  append,
  callLine,
  exported,
  openBench,
  recordOf,
  runWriter,
  streamOf,
  verified,
} from '../record/harness.ts';
import type { Bench } from '../record/harness.ts';
import type { Signer } from '../../../services/record/ports.ts';

const SESSION = 'session a';
/** With a value for the columns that most lines leave empty. */
const FULL = {
  principal: 'somebody',
  host: 'laptop',
  logicalCallId: 'logical-1',
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentSpanId: 'b7ad6b7169203332',
  transport: 'stdio',
  class: 'web_read',
  definitionHash: 'ab'.repeat(32),
  argsHash: 'cd'.repeat(32),
  argsBytes: 30,
  labels: ['pii'],
  method: 'resources/read',
  mcp: { uri: 'file:///etc/hosts', taskId: 'task-1' },
  decisionId: 'decision-1',
  policy: {
    id: 'team',
    version: 3,
    hash: '5e'.repeat(32),
    mode: 'enforce',
    effect: 'approve',
    rule: 'approvals/posts',
    request: { ttlMs: 60_000, waitMs: 0, fourEyes: true },
  },
  unheardOf: 1,
};

const ALERT = alertLine({
  id: 'ef'.repeat(32),
  ruleId: 'chain.test',
  ruleHash: '12'.repeat(32),
  title: 'A chain',
  level: 'high',
  mode: 'alert',
  tags: ['test'],
  scope: 'session',
  key: { session: SESSION },
  timeBasis: 'event',
  calls: [
    {
      step: 'post',
      eventId: `${streamOf('a')}-1`,
      topic: TOPICS.toolcalls.name,
      partition: 0,
      offset: 0,
      line: 0,
      time: '2026-11-23T12:00:00.000Z',
      session: SESSION,
      agent: 'agent',
    },
  ],
  summary: 'A chain was seen.',
});

const DISPOSITION = JSON.stringify({
  v: 1,
  kind: 'audit',
  stream: streamOf('audit'),
  seq: 0,
  nonce: streamOf('audit nonce'),
  time: '2026-11-23T12:01:00.000Z',
  session: SESSION,
  agent: 'tripline-service',
  audit: {
    action: 'alert.disposition',
    actor: 'key-of-ana',
    role: 'analyst',
    target: ALERT.alert.id,
    reason: 'The post went to our own wiki.',
    outcome: 'ok',
    details: { disposition: 'benign_true_positive', rule: 'chain.test' },
  },
});

/** Toolcalls: lines 0 and 1; a gap (index 2) and line 3 (index 3); a line that is no JSON (index 4). One alert, and its disposition. */
async function seeded(): Promise<Bench> {
  const bench = await openBench();
  await append(bench, [
    recordOf('a', 0, [callLine('a', 0), callLine('a', 1)]),
    recordOf('a', 3, [callLine('a', 3, FULL), '{"torn":']),
  ]);
  await runWriter(bench, bench);
  const record = recordOf('a', 0, [JSON.stringify(ALERT)]);
  const headers = { ...record.headers, [HEADERS.stream]: ALERT.stream };
  const alerts = { topic: TOPICS.alerts.name, partition: 0 };
  await append(bench, [{ ...record, headers }], alerts.partition, alerts.topic);
  await runWriter(bench, bench, alerts);
  const audit = { topic: TOPICS.audit.name, partition: 0 };
  await append(bench, [recordOf('audit', 0, [DISPOSITION])], audit.partition, audit.topic);
  await runWriter(bench, bench, audit);
  return bench;
}

type Row = Record<string, unknown>;
type Line = Row & { readonly type: string; readonly idx?: number };

async function linesOf(bench: Bench): Promise<readonly Line[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of exported(bench)) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString().trim();
  return text.split('\n').map((line) => JSON.parse(line) as Line);
}

function verifiedLines(lines: readonly Line[]) {
  async function* source() {
    yield Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  return verifyBundle(source(), nodeCrypto);
}

function rowOf(line: Line | undefined, table: string): Row {
  const [row] = (line?.[table] ?? []) as Row[];
  assert.ok(row !== undefined, table);
  return row;
}

const HEX = /^[0-9a-f]{32,}$/;

const POLICY_COLUMNS: ReadonlySet<string> = new Set(
  'policy_id policy_version policy_mode policy_effect policy_rule policy_hash approval_ttl_ms'.split(' '),
);
const emptyOf = (column: string): string =>
  column === 'policy_version' || column === 'approval_ttl_ms' ? '0' : '';

/** Other values of the same type. */
function changed(column: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value))
    return [[...value, 'x'], value.slice(1)].filter((other) => other.length !== value.length);
  if (typeof value === 'string' && HEX.test(value))
    return [value.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))];
  if (column === 'bytes' || column === 'raw') return [Buffer.from('other').toString('base64')];
  if (typeof value === 'string' && /^\d+$/.test(value))
    return [String(BigInt(value) + 1n), '18446744073709551615'];
  if (typeof value === 'string') return [`${value}x`];
  if (typeof value === 'number') return [value + 1];
  return [true];
}

/** `rows` line of an index, its table, and the session that the place must name. */
const PLACES = [
  { table: 'ledger', topic: TOPICS.toolcalls.name, index: 3 },
  { table: 'ledger', topic: TOPICS.toolcalls.name, index: 2 },
  { table: 'ledger', topic: TOPICS.toolcalls.name, index: 4 },
  { table: 'payloads', topic: TOPICS.toolcalls.name, index: 3 },
  { table: 'payloads', topic: TOPICS.toolcalls.name, index: 4 },
  { table: 'events', topic: TOPICS.toolcalls.name, index: 3 },
  { table: 'deadLetters', topic: TOPICS.toolcalls.name, index: 4 },
  { table: 'ledger', topic: TOPICS.alerts.name, index: 0 },
  { table: 'alerts', topic: TOPICS.alerts.name, index: 0 },
  { table: 'dispositions', topic: TOPICS.audit.name, index: 0 },
] as const;

const NAMES_IN_STORE: Readonly<Record<string, string>> = { deadLetters: 'dead_letters' };
/** Whose rows an export takes and where it puts them: another value moves the row. */
const SELECTED_BY = ['log_id', 'idx'];
/** How the bytes are kept, which say the same whatever these are. */
const KEPT_BY: Readonly<Record<string, readonly string[]>> = {
  payloads: ['subject', 'block', 'place', 'size'],
};

describe('an edited column', () => {
  let bench: Bench;
  let lines: readonly Line[];
  before(async () => {
    bench = await seeded();
    lines = await linesOf(bench);
  });
  after(() => bench.close());

  it('starts from a sound bundle', async () => {
    const report = await verifiedLines(lines);
    assert.deepEqual(
      [report.firstFault, report.entries, report.deadLetters, report.gapCount],
      [null, 7, 1, 1],
    );
  });

  /** Place of the `rows` line in the bundle. */
  function lineOf(topic: string, index: number): number {
    let at = '';
    return lines.findIndex((line) => {
      if (line.type === 'log') at = String(line['topic']);
      return line.type === 'rows' && at === topic && line.idx === index;
    });
  }

  for (const { table, topic, index } of PLACES) {
    it(`of ${table} at ${topic}/${index} is found where it is`, async () => {
      const at = lineOf(topic, index);
      const row = rowOf(lines[at], table);
      for (const [column, value] of Object.entries(row)) {
        for (const other of changed(column, value)) {
          const edited = lines.with(at, { ...(lines[at] as Line), [table]: [{ ...row, [column]: other }] });
          const { firstFault } = await verifiedLines(edited);
          const about = `${table}.${column}: ${JSON.stringify(value)} to ${JSON.stringify(other)}`;
          assert.ok(firstFault !== null, `${about} is not found`);
          assert.deepEqual([firstFault.index, firstFault.topic], [index, topic], about);
          assert.equal(typeof firstFault.offset, 'number', about);
          assert.equal(typeof firstFault.session, 'string', about);
        }
      }
    });
  }

  it('is no column that an export leaves out', async () => {
    const columns = await bench.store.query<{ table: string; name: string }>(
      "SELECT table, name FROM system.columns WHERE database = 'tripline'",
    );
    for (const { table, topic, index } of PLACES) {
      const row = rowOf(lines[lineOf(topic, index)], table);
      const inStore = NAMES_IN_STORE[table] ?? table;
      const names = columns.filter((column) => column.table === inStore).map(({ name }) => name);
      const shown = [...SELECTED_BY, ...(KEPT_BY[table] ?? []), ...Object.keys(row)];
      assert.deepEqual(names.toSorted(), shown.toSorted(), table);
    }
  });

  it('of a policy is no fault where the row has none of them, as rows of before, and is counted', async () => {
    const at = lineOf(TOPICS.toolcalls.name, 3);
    const row = rowOf(lines[at], 'events');
    assert.deepEqual(
      Object.fromEntries(Object.entries(row).filter(([column]) => POLICY_COLUMNS.has(column))),
      {
        policy_id: 'team',
        policy_version: '3',
        policy_mode: 'enforce',
        policy_effect: 'approve',
        policy_rule: 'approvals/posts',
        policy_hash: '5e'.repeat(32),
        approval_ttl_ms: '60000',
      },
    );
    const others = Object.entries(row).filter(([column]) => !POLICY_COLUMNS.has(column));
    const absent = Object.fromEntries(others);
    const empty = {
      ...row,
      ...Object.fromEntries([...POLICY_COLUMNS].map((column) => [column, emptyOf(column)])),
    };
    for (const older of [absent, empty]) {
      const report = await verifiedLines(lines.with(at, { ...(lines[at] as Line), events: [older] }));
      assert.deepEqual([report.firstFault, report.policiesNotProjected], [null, 1]);
    }
    assert.equal((await verifiedLines(lines)).policiesNotProjected, 0);
  });

  it('of a policy is a fault where only some of them are empty', async () => {
    const at = lineOf(TOPICS.toolcalls.name, 3);
    const row = rowOf(lines[at], 'events');
    for (const column of POLICY_COLUMNS) {
      const edited = { ...row, [column]: emptyOf(column) };
      const { firstFault } = await verifiedLines(
        lines.with(at, { ...(lines[at] as Line), events: [edited] }),
      );
      assert.equal(firstFault?.code, 'projection_altered', column);
    }
  });

  it('of a disposition is not the only way to change one: a row more, or none, is found too', async () => {
    const at = lineOf(TOPICS.audit.name, 0);
    const row = rowOf(lines[at], 'dispositions');
    const alertAt = lineOf(TOPICS.alerts.name, 0);
    for (const [place, index, rows, code] of [
      [at, 0, [], 'projection_missing'],
      [at, 0, [row, row], 'projection_twin'],
      [alertAt, 0, [row], 'projection_unexpected'],
    ] as const) {
      const edited = lines.with(place, { ...(lines[place] as Line), dispositions: rows });
      const { firstFault } = await verifiedLines(edited);
      assert.deepEqual(
        [firstFault?.code, firstFault?.index, firstFault?.detail],
        [code, index, 'dispositions'],
      );
    }
  });

  it('of a dead letter is not excused by a reason of another record', async () => {
    const at = lineOf(TOPICS.toolcalls.name, 4);
    const row = rowOf(lines[at], 'deadLetters');
    for (const reason of [
      { code: 'event_invalid', path: 'time', message: 'harmless' },
      { code: 'event_invalid', path: 'headers.format', message: 'The format is unknown.' },
      { code: 'event_stream_conflict', path: 'stream', message: 'harmless' },
    ]) {
      const edited = lines.with(at, { ...(lines[at] as Line), deadLetters: [{ ...row, ...reason }] });
      const { firstFault } = await verifiedLines(edited);
      assert.deepEqual([firstFault?.code, firstFault?.index], ['projection_altered', 4], reason.code);
    }
  });
});

const ROW_OF_NOBODY = `INSERT INTO events (tenant, session_id, log_id, idx, topic, partition, offset, kind, tool)
  VALUES ('acme', 'forged', unhex('${'00'.repeat(32)}'), 18446744073709551615, 'tripline.toolcalls.v1', 0, 7, 'call.intent', 'harmless')`;

const COPIED = '* REPLACE (idx + 100 AS idx)';

/** Rows of a log that does not exist, or beyond the end of one that does: queries would show them. */
const STRAYS = [
  { table: 'events', sql: ROW_OF_NOBODY, session: 'forged' },
  { table: 'events', sql: `INSERT INTO events SELECT ${COPIED} FROM events_sound`, session: SESSION },
  { table: 'ledger', sql: `INSERT INTO ledger SELECT ${COPIED} FROM ledger_sound`, session: SESSION },
  { table: 'payloads', sql: `INSERT INTO payloads SELECT ${COPIED} FROM payloads_sound`, session: null },
  { table: 'alerts', sql: `INSERT INTO alerts SELECT ${COPIED} FROM alerts_sound`, session: SESSION },
  {
    table: 'dead_letters',
    sql: 'INSERT INTO dead_letters SELECT * REPLACE (reverse(log_id) AS log_id) FROM dead_letters_sound',
    session: null,
  },
  {
    table: 'dispositions',
    sql: `INSERT INTO dispositions SELECT ${COPIED} FROM dispositions_sound`,
    session: null,
  },
] as const;

describe('a row that nobody signed for', () => {
  let bench: Bench;
  before(async () => {
    bench = await seeded();
    for (const { table } of STRAYS.slice(1))
      await bench.store.command(
        `CREATE TABLE ${table}_sound ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM ${table}`,
      );
  });
  after(() => bench.close());

  for (const { table, sql, session } of STRAYS) {
    it(`is found in ${table} (session ${session})`, async () => {
      await bench.store.command(sql);
      const { firstFault, exitCode } = await verified(bench);
      const found = [firstFault?.code, firstFault?.detail, firstFault?.session, exitCode];
      assert.deepEqual(found, ['row_unsigned', table, session, 40]);
      await bench.store.command(`TRUNCATE TABLE ${table}`);
      await bench.store.command(`INSERT INTO ${table} SELECT * FROM ${table}_sound`);
      assert.deepEqual((await verified(bench)).firstFault, null);
    });
  }

  it('is not the row of a batch under way', async () => {
    await append(bench, [recordOf('b', 0, [callLine('b', 0)])]);
    // Up to the signature, and no further.
    const signer = { ...portsOf(bench.signer), commit: () => Promise.reject(new Error('killed')) };
    await assert.rejects(runWriter(bench, { store: bench.store, signer }), /killed/);
    const { firstFault, pending } = await verified(bench);
    assert.deepEqual([firstFault, pending], [null, 1]);
  });
});

function portsOf(signer: Signer): Signer {
  return {
    state: (topic, partition) => signer.state(topic, partition),
    reserve: (manifest) => signer.reserve(manifest),
    commit: (manifest) => signer.commit(manifest),
    heads: () => signer.heads(),
    publicKey: () => signer.publicKey(),
  };
}
