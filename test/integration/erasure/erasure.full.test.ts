import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Service } from '../../../services/cli/service.ts';
import { filesHolding, linesOf, person } from '../../support/erasure/people.ts';
import { buildStandalone } from '../../support/evidence/standalone.ts';
import { eventually, openPlace, startIn, tripline, type Place } from '../cli/harness.ts';

const PEOPLE = Array.from({ length: 30 }, (_, number) => person(number));
const ENTRIES = 2 * PEOPLE.length;

describe('erasure', () => {
  let place: Place;
  let service: Service;
  const run = (...argv: string[]) => tripline(place.env, [...argv, '--json']);
  const report = async () => (await run('verify')).items().at(-1) ?? {};

  before(async () => {
    place = await openPlace();
    service = await startIn(place);
    const token = (await tripline(place.env, ['config', 'print'])).exitCode;
    assert.equal(token, 0);
    const { ApiClient, tokenOf } = await import('../../../services/cli/client.ts');
    const client = new ApiClient(
      { url: service.url, token: tokenOf(place.env) },
      AbortSignal.timeout(60_000),
    );
    await client.postLines(PEOPLE.flatMap((one) => linesOf(one)));
    const found = await eventually(report, (answer) => Number(answer['entries']) >= ENTRIES);
    assert.ok(Number(found['entries']) >= ENTRIES);
  });
  after(async () => {
    await service.stop();
    await place.remove();
  });

  const [first = person(0), second = person(1), third = person(2), fourth = person(3)] = PEOPLE;
  const dataDir = (): string => join(place.dir, 'data');

  it('finds what was said in files of the data directory before', () => {
    assert.deepEqual(
      PEOPLE.filter(({ said }) => filesHolding(dataDir(), [said]).length === 0),
      [],
    );
  });

  it('leaves no byte of an erased principal in any file, and all others whole', async () => {
    const { exitCode, err } = await run('erase', '--principal', first.principal, '--reason', 'request 17');
    assert.equal(exitCode, 0, err);
    assert.deepEqual(filesHolding(dataDir(), [first.said, first.principal]), []);
    const { verdict, erased, erasures, firstFault } = await report();
    assert.deepEqual(
      { verdict, erased, erasures, firstFault },
      { verdict: 'verified', erased: 2, erasures: 1, firstFault: null },
    );
    const [timeline] = (await run('session', second.session)).items();
    assert.equal((timeline?.['calls'] as unknown[] | undefined)?.length, 1);
    assert.equal((await run('session', first.session)).exitCode, 1);
  });

  it('says in an export of the session that it is erased, and proves by what right', async () => {
    const out = join(place.dir, 'bundle');
    assert.equal((await run('export', '--out', out, '--session', first.session)).exitCode, 0);
    const { exitCode, items } = await run('verify', '--export', out);
    const { erased, erasures, entries } = items().at(-1) ?? {};
    assert.deepEqual(
      { exitCode, erased, erasures, entries },
      { exitCode: 10, erased: 2, erasures: 1, entries: 3 },
    );
  });

  it('is told as erased, of either form, by the verifier in one file', async () => {
    const program = await buildStandalone(place.dir);
    const verified = async (format: string, file: string) => {
      const out = join(place.dir, format);
      const { exitCode, err } = await run('export', '--out', out, '--format', format);
      assert.equal(exitCode, 0, err);
      const { status, stdout } = spawnSync(process.execPath, [program, join(out, file)], {
        env: {},
        encoding: 'utf8',
      });
      return { status, told: stdout.split('\n').find((line) => line.startsWith('erased')) };
    };
    const told = 'erased (authorised): 2 entries, by 1 ERASURE entries that say who and why';
    assert.deepEqual(await verified('binary', 'bundle.tripline'), { status: 10, told });
    assert.deepEqual(await verified('ndjson', 'bundle.ndjson'), { status: 10, told });
  });

  it('erases a session', async () => {
    assert.equal((await run('erase', '--session', second.session, '--reason', 'request 18')).exitCode, 0);
    assert.deepEqual(filesHolding(dataDir(), [second.said, second.principal]), []);
    assert.equal((await report())['erased'], 4);
  });

  it('erases nothing that is held, by whatever name it is asked for', async () => {
    const held = await run('hold', 'add', '--principal', third.principal, '--reason', 'lawsuit');
    const id = String(held.items().at(-1)?.['id']);
    for (const subject of [
      ['--principal', third.principal],
      ['--session', third.session],
    ]) {
      const { exitCode, err } = await run('erase', ...subject, '--reason', 'request 19');
      assert.equal(exitCode, 1);
      assert.match(err, /legal_hold/u);
    }
    assert.equal((await report())['erased'], 4);
    assert.equal((await run('hold', 'release', id, '--reason', 'settled')).exitCode, 0);
    assert.deepEqual((await run('hold', 'list')).items(), []);
    assert.equal((await run('erase', '--session', third.session, '--reason', 'request 20')).exitCode, 0);
    assert.equal((await report())['erased'], 6);
  });

  it('keeps what the principal says afterwards under a new key', async () => {
    const { ApiClient, tokenOf } = await import('../../../services/cli/client.ts');
    const client = new ApiClient(
      { url: service.url, token: tokenOf(place.env) },
      AbortSignal.timeout(60_000),
    );
    await client.postLines(linesOf(first, 1));
    const seen = await eventually(
      () => run('session', first.session),
      ({ exitCode }) => exitCode === 0,
    );
    assert.equal(seen.exitCode, 0);
    const { verdict, erased } = await report();
    assert.deepEqual({ verdict, erased }, { verdict: 'verified', erased: 6 });
  });

  it('is missing, not erased, where a row goes without an ERASURE entry', async () => {
    await service.stop();
    const { openChdbStore } = await import('../../../services/platform/store/chdb/open.ts');
    const { createLogger } = await import('../../../services/platform/telemetry/log.ts');
    const store = await openChdbStore({
      dir: join(dataDir(), 'clickhouse'),
      maxMemoryBytes: 1024 ** 3,
      queryTimeoutMs: 30_000,
      log: createLogger({ level: 'silent' }),
    });
    try {
      // As erased rows look: the key does not exist, and the projection is gone.
      for (const [table, change] of [
        ['payloads', 'UPDATE subject = 999999'],
        ['events', 'DELETE'],
      ] as const)
        await store.command(
          `ALTER TABLE ${table} ${change} WHERE (log_id, idx) IN
             (SELECT log_id, idx FROM ledger WHERE session_id = '${fourth.session}') SETTINGS mutations_sync = 2`,
        );
    } finally {
      await store.close();
    }
    const { exitCode, items } = await run('verify');
    const { firstFault } = items().at(-1) ?? {};
    const { code, session } = firstFault as Record<string, unknown>;
    assert.deepEqual(
      { exitCode, code, session },
      { exitCode: 40, code: 'payload_missing', session: fourth.session },
    );
  });
});
