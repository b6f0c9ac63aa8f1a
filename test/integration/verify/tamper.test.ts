import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { verifyBundle } from '../../../services/evidence/verify.ts';
import { nodeCrypto } from '../../../services/platform/ledger/crypto.ts';
import { append, callLine, exported, openBench, recordOf, runWriter, verified } from '../record/harness.ts';
import type { Bench } from '../record/harness.ts';

const LINES = 12;

async function seeded(): Promise<Bench> {
  const bench = await openBench();
  for (const stream of ['a', 'b']) {
    const lines = Array.from({ length: LINES / 2 }, (_, seq) => callLine(stream, seq));
    await append(bench, [recordOf(stream, 0, lines.slice(0, 3)), recordOf(stream, 3, lines.slice(3))]);
  }
  await runWriter(bench, bench);
  return bench;
}

describe('a sound ledger', () => {
  let bench: Bench;
  before(async () => {
    bench = await seeded();
  });
  after(() => bench.close());

  it('verifies, and says that nobody witnessed it', async () => {
    const report = await verified(bench, {}, { publicKeys: [await bench.signer.publicKey()] });
    assert.equal(report.firstFault, null);
    assert.deepEqual(
      [report.verdict, report.exitCode, report.entries, report.pending, report.keysPinned],
      ['verified', 10, LINES, 0, true],
    );
  });

  it('verifies as a partial bundle of one session', async () => {
    const report = await verified(bench, { session: 'session b' });
    assert.equal(report.firstFault, null);
    assert.deepEqual([report.partial, report.entries, report.exitCode], [true, LINES / 2, 10]);
  });

  it('does not verify under another key', async () => {
    const report = await verified(bench, {}, { publicKeys: [new Uint8Array(32)] });
    assert.deepEqual([report.firstFault?.code, report.exitCode], ['head_key_unknown', 40]);
  });

  it('diverges from a head that says otherwise', async () => {
    const [list] = await bench.signer.heads();
    const head = list!.heads[0]!;
    const longer = { logId: head.logId, size: head.size + 1, root: head.root };
    const other = { logId: head.logId, size: 5, root: '00'.repeat(32) };
    for (const known of [longer, other]) {
      const report = await verified(bench, {}, { knownHeads: [known] });
      assert.deepEqual([report.firstFault?.code, report.exitCode], ['known_head_differs', 30]);
    }
  });

  const bundle = async () => {
    const chunks = [];
    for await (const chunk of exported(bench)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  async function* bytesOf(text: string | Uint8Array) {
    const bytes = Buffer.from(text as string);
    for (let at = 0; at < bytes.length; at += 64) yield bytes.subarray(at, at + 64);
  }

  it('is incomplete when the bundle is cut, between lines or within one', async () => {
    const whole = await bundle();
    const lines = whole.trimEnd().split('\n');
    for (const cut of [lines.slice(0, -1).join('\n'), whole.slice(0, -5), whole.slice(0, -500)]) {
      const report = await verifyBundle(bytesOf(cut), nodeCrypto);
      assert.deepEqual([report.firstFault?.code, report.exitCode], ['bundle_truncated', 20]);
    }
    const unbroken = await verifyBundle(bytesOf(whole.trimEnd()), nodeCrypto);
    assert.equal(unbroken.exitCode, 10);
  });

  it('is invalid when a line of the bundle was changed into no line of a bundle', async () => {
    const whole = await bundle();
    const [, log, row] = whole.split('\n');
    const changes = [
      whole.replace(row!, row!.slice(1)),
      whole.replace('"leaf_hash":"', '"leaf_hash":"z'),
      whole.replace('"type":"end"', '"type":"done"'),
    ];
    const logOf = (report: { firstFault: { log: string | null } | null }) => report.firstFault?.log;
    for (const text of changes) {
      const report = await verifyBundle(bytesOf(text), nodeCrypto);
      assert.deepEqual([report.firstFault?.code, report.exitCode], ['bundle_malformed', 40]);
      assert.match(logOf(report) ?? '', new RegExp(`/${(JSON.parse(log!) as { topic: string }).topic}/0$`));
    }
    const bytes = Buffer.from(whole);
    bytes[whole.indexOf(row!) + 20] = 0xff;
    assert.equal((await verifyBundle(bytesOf(bytes), nodeCrypto)).exitCode, 40);
    await assert.rejects(verifyBundle(bytesOf('no bundle\n'), nodeCrypto), { code: 'export_invalid' });
  });
});

describe('a sound ledger of hostile events', () => {
  it('verifies: half characters, NUL and times out of range are kept as the store can keep them', async () => {
    const bench = await openBench();
    const half = 'a\uD800b';
    const names = 'session agent principal host callId server tool controlId'.split(' ');
    const texts = { verdict: `\0${half}`, labels: [half, '\0\n'], trust: { level: `${half}\0` } };
    const hostile = { ...Object.fromEntries(names.map((name) => [name, half])), ...texts, [half]: 1 };
    const times = ['0000-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z', '2026-02-31T00:00:00.000Z'];
    const lines = times.map((time, seq) => callLine('a', seq, { ...hostile, time }));
    await append(bench, [recordOf('a', 0, lines)]);
    await runWriter(bench, bench);
    const report = await verified(bench);
    await bench.close();
    assert.equal(report.firstFault, null);
    assert.deepEqual([report.exitCode, report.entries], [10, times.length]);
  });
});

/** offset 2 holds seq 0..2 of stream b: index 6 to 8. */
const MIDDLE = { index: 7, offset: 2, session: 'session b' };
const COPY =
  'log_id, idx, type, leaf_hash, prev_leaf_hash, topic, partition, offset, line, append_ms, stream_id, seq, ev_hash, key_id, flags, tenant, session_id';
const MUTATION = 'SETTINGS mutations_sync = 2';

const CASES: readonly {
  readonly name: string;
  readonly sql: readonly string[];
  readonly fault: {
    readonly code: string;
    readonly index: number;
    readonly offset: number;
    readonly session: string;
  };
}[] = [
  {
    name: 'an edited row',
    sql: [`ALTER TABLE ledger UPDATE append_ms = append_ms - 60000 WHERE idx = 7 ${MUTATION}`],
    fault: { code: 'entry_altered', ...MIDDLE },
  },
  {
    name: 'an edited session',
    sql: [`ALTER TABLE ledger UPDATE session_id = 'somebody else' WHERE idx = 7 ${MUTATION}`],
    fault: { code: 'entry_altered', ...MIDDLE, session: 'somebody else' },
  },
  {
    name: 'a deleted row in the middle',
    sql: [`ALTER TABLE ledger DELETE WHERE idx = 7 ${MUTATION}`],
    fault: { code: 'entry_missing', ...MIDDLE },
  },
  {
    name: 'a row deleted from every table',
    sql: ['ledger', 'payloads', 'events'].map(
      (table) => `ALTER TABLE ${table} DELETE WHERE idx = 7 ${MUTATION}`,
    ),
    fault: { code: 'entry_missing', ...MIDDLE },
  },
  {
    name: 'a deleted tail',
    sql: ['ledger', 'payloads', 'events'].map(
      (table) => `ALTER TABLE ${table} DELETE WHERE idx >= 10 ${MUTATION}`,
    ),
    fault: { code: 'entry_missing', index: 10, offset: 3, session: 'session b' },
  },
  {
    name: 'an inserted row',
    sql: [`INSERT INTO ledger SELECT ${COPY} FROM ledger WHERE idx = 7`],
    fault: { code: 'entry_twin', ...MIDDLE },
  },
  {
    name: 'a pair of rows in the other order',
    sql: [
      `INSERT INTO ledger SELECT ${COPY.replace('idx', '15 - idx')} FROM ledger WHERE idx IN (7, 8)`,
      `ALTER TABLE ledger DELETE WHERE (idx = 7 AND seq = 1) OR (idx = 8 AND seq = 2) ${MUTATION}`,
    ],
    fault: { code: 'link_broken', ...MIDDLE },
  },
  {
    name: 'an edited payload',
    sql: [
      `ALTER TABLE payloads UPDATE bytes = replaceOne(bytes, 'example.org', 'example.com') WHERE idx = 7 ${MUTATION}`,
    ],
    fault: { code: 'payload_altered', ...MIDDLE },
  },
  {
    name: 'a deleted payload',
    sql: [`ALTER TABLE payloads DELETE WHERE idx = 7 ${MUTATION}`],
    fault: { code: 'payload_missing', ...MIDDLE },
  },
  {
    name: 'an edited column of events',
    sql: [`ALTER TABLE events UPDATE tool = 'search' WHERE idx = 7 ${MUTATION}`],
    fault: { code: 'projection_altered', ...MIDDLE },
  },
  {
    name: 'a deleted row of events',
    sql: [`ALTER TABLE events DELETE WHERE idx = 7 ${MUTATION}`],
    fault: { code: 'projection_missing', ...MIDDLE },
  },
  {
    name: 'all rows gone',
    sql: ['ledger', 'payloads', 'events'].map((table) => `TRUNCATE TABLE ${table}`),
    fault: { code: 'log_missing', index: 0, offset: -1, session: '' },
  },
];

for (const tampering of CASES) {
  it(`${tampering.name} is found where it is`, async () => {
    const bench = await seeded();
    try {
      for (const sql of tampering.sql) await bench.store.command(sql);
      const { firstFault, exitCode } = await verified(bench);
      assert.equal(exitCode, 40);
      const { code, index, offset, session } = tampering.fault;
      assert.deepEqual(
        [firstFault?.code, firstFault?.index, firstFault?.offset ?? -1, firstFault?.session ?? ''],
        [code, index, offset, session],
      );
      assert.ok(firstFault?.log?.startsWith('test/'));
    } finally {
      await bench.close();
    }
  });
}

it('the heads that checkpoints keeps verify as those of the signer do', async () => {
  const bench = await seeded();
  try {
    const { publishCheckpoints } = await import('../../../services/sign/checkpoints.ts');
    assert.equal(await publishCheckpoints(bench.store, bench.signer), 1);
    assert.equal(await publishCheckpoints(bench.store, bench.signer), 0);
    const report = await verified(bench, { heads: undefined });
    assert.deepEqual([report.firstFault, report.exitCode, report.entries], [null, 10, LINES]);
  } finally {
    await bench.close();
  }
});
