/** Verifying a part: what was not looked into stands in the report, and chain, tree and heads are held to all the same. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { verifyBundle, type VerifyOptions } from '../../../services/evidence/verify.ts';
import type { VerifiedLog } from '../../../services/evidence/depth.ts';
import { nodeCrypto } from '../../../services/platform/ledger/crypto.ts';
import { append, callLine, exported, openBench, recordOf, runWriter } from '../record/harness.ts';
import type { Bench } from '../record/harness.ts';

const LINES = 40;
const SAMPLE = { every: 7, phase: 3 };

describe('a verification that looks into a part', () => {
  let bench: Bench;
  before(async () => {
    bench = await openBench();
    const lines = Array.from({ length: LINES }, (_, seq) => callLine('a', seq));
    await append(bench, [recordOf('a', 0, lines.slice(0, 25)), recordOf('a', 25, lines.slice(25))]);
    await runWriter(bench, bench);
  });
  after(() => bench.close());

  const run = (options: VerifyOptions) =>
    verifyBundle(
      exported(bench, {
        sample: options.sample,
        verified: options.resume && new Map(options.resume.map(({ logId, size }) => [logId, size])),
      }),
      nodeCrypto,
      options,
    );
  /** Runs `act` while a column of the entry is another, and gives it back. */
  async function altered(idx: number, column: string, act: () => Promise<void>): Promise<void> {
    const set = (sql: string) =>
      bench.store.command(`ALTER TABLE tripline.${sql} WHERE idx = ${idx} SETTINGS mutations_sync = 2`);
    await set(`events UPDATE ${column} = concat(${column}, 'x')`);
    await act();
    await set(`events UPDATE ${column} = substring(${column}, 1, length(${column}) - 1)`);
  }

  it('says how many entries a sample left out', async () => {
    const report = await run({ sample: SAMPLE });
    assert.deepEqual([report.firstFault, report.entries, report.exitCode], [null, LINES, 10]);
    // 3, 10, 17, 24, 31, 38.
    assert.deepEqual(report.shallow, { sample: SAMPLE, sampledOut: LINES - 6, resumed: 0 });
  });

  it('finds in a sample what the sample looks at, and nothing of the rest', async () => {
    await altered(17, 'agent', async () => {
      const { firstFault } = await run({ sample: SAMPLE });
      assert.deepEqual([firstFault?.code, firstFault?.index], ['projection_altered', 17]);
    });
    await altered(18, 'agent', async () => assert.equal((await run({ sample: SAMPLE })).firstFault, null));
  });

  it('looks into later entries alone where an earlier run stopped, after its root was found again', async () => {
    let stopped: readonly VerifiedLog[] = [];
    await verifyBundle(exported(bench), nodeCrypto, { onProgress: (_, verified) => (stopped = verified()) });
    assert.deepEqual(
      stopped.map(({ size }) => size),
      [LINES],
    );
    await append(bench, [recordOf('b', 0, [callLine('b', 0), callLine('b', 1)])]);
    await runWriter(bench, bench);
    const report = await run({ resume: stopped });
    assert.deepEqual([report.firstFault, report.entries], [null, LINES + 2]);
    assert.deepEqual(report.shallow, { sample: null, sampledOut: 0, resumed: LINES });
    await altered(LINES + 1, 'tool', async () => {
      const { firstFault } = await run({ resume: stopped });
      assert.deepEqual([firstFault?.code, firstFault?.index], ['projection_altered', LINES + 1]);
    });
  });

  it('diverges from a state of another history', async () => {
    let stopped: readonly VerifiedLog[] = [];
    await verifyBundle(exported(bench), nodeCrypto, { onProgress: (_, verified) => (stopped = verified()) });
    const [log] = stopped as [VerifiedLog];
    const forged: VerifiedLog[][] = [
      [{ ...log, size: log.size - 1 }],
      [{ ...log, size: log.size + 5 }],
      [{ ...log, root: '0'.repeat(64) }],
      [{ ...log, logId: '0'.repeat(64) }],
    ];
    for (const resume of forged) {
      const { firstFault, exitCode } = await run({ resume });
      assert.deepEqual([firstFault?.code, exitCode], ['known_head_differs', 30]);
    }
  });
});
