/**
 * Export and verification of a sound ledger of VERIFY_EVENTS events (100,000), and of one a quarter as large, so that a
 * cost that grows faster than the ledger shows; and the sizes of proofs.
 */
import assert from 'node:assert/strict';
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { formatTlogProof } from '../../services/evidence/tlog/proof.ts';
import { inclusionSpans } from '../../services/evidence/merkle.ts';
import { verifyBundle, type VerifyOptions } from '../../services/evidence/verify.ts';
import { nodeCrypto } from '../../services/platform/ledger/crypto.ts';
import { exportLedger } from '../../services/platform/ledger/export.ts';
import { cpuMs, result, wallMs, type Bench, type BenchResult } from './bench.ts';
import { temporaryDir } from './place.ts';
import { DEPLOYMENT, fillSound, openSound } from './sound-ledger.ts';

const EVENTS = Number(process.env['VERIFY_EVENTS'] ?? 100_000);
const READ_BYTES = 1024 * 1024;
/** None of the entries is looked into. */
const CHAIN_ALONE = { every: 2 ** 40, phase: 2 ** 40 - 1 };

interface Exported {
  readonly file: string;
  readonly ms: number;
  readonly chainFile: string;
}

async function exportOf(events: number, dir: string): Promise<Exported> {
  const ledger = await openSound(dir);
  try {
    await fillSound(ledger, events);
    const write = (file: string, sample?: typeof CHAIN_ALONE): Promise<number> => {
      const options = { deployment: DEPLOYMENT, nowMs: 0, heads: ledger.signer, sample };
      const source = Readable.from(exportLedger(ledger.store, options), { objectMode: false });
      return wallMs(() => pipeline(source, createWriteStream(file)));
    };
    const file = join(dir, 'bundle.ndjson');
    const chainFile = join(dir, 'chain.ndjson');
    const ms = await write(file);
    await write(chainFile, CHAIN_ALONE);
    return { file, ms, chainFile };
  } finally {
    await ledger.close();
  }
}

async function verifiedPerSecond(
  file: string,
  options: VerifyOptions = {},
): Promise<{ rate: number; entries: number }> {
  let entries = 0;
  const ms = await cpuMs(async () => {
    const source = createReadStream(file, { highWaterMark: READ_BYTES });
    const report = await verifyBundle(source, nodeCrypto, options);
    assert.equal(report.exitCode, 10, JSON.stringify(report.firstFault));
    ({ entries } = report);
  });
  return { rate: entries / (ms / 1000), entries };
}

function proofSizes(): BenchResult[] {
  const checkpoint = 'x'.repeat(79 + 123 + 3 * 128);
  return [1e3, 1e6, 1e9].map((size) => {
    const proof = inclusionSpans(Math.floor(size / 3), size).map(() => new Uint8Array(32));
    const value = formatTlogProof({ index: Math.floor(size / 3), proof, checkpoint }).length;
    return result(
      `proof_bytes_of_${size}`,
      { value, baseline: null, unit: 'bytes' },
      'with three cosignatures',
    );
  });
}

async function run(): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  let smaller: number | null = null;
  for (const events of [Math.ceil(EVENTS / 4), EVENTS]) {
    const { dir, remove } = temporaryDir();
    try {
      const { file, ms, chainFile } = await exportOf(events, dir);
      const deep = await verifiedPerSecond(file);
      const chain = await verifiedPerSecond(chainFile, { sample: CHAIN_ALONE });
      const perSecond = deep.entries / (ms / 1000);
      const note = `${deep.entries} entries, ${Math.round(statSync(file).size / deep.entries)} bytes each`;
      results.push(
        result(`export_${events}`, { value: perSecond, baseline: smaller, unit: 'entries/s' }, note),
        result(
          `verify_deep_${events}`,
          { value: deep.rate, baseline: null, unit: 'entries/s' },
          'of one core',
        ),
        result(
          `verify_chain_${events}`,
          { value: chain.rate, baseline: null, unit: 'entries/s' },
          'of one core',
        ),
      );
      smaller = perSecond;
    } finally {
      remove();
    }
  }
  return [...results, ...proofSizes()];
}

export const verifyBench: Bench = {
  name: 'verify',
  about: 'export and verification of a ledger; baseline of the export: a ledger a quarter as large',
  run,
};
