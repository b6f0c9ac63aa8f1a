/**
 * Export and verification of a sound ledger of VERIFY_EVENTS events (100,000), in both forms of a bundle, and of one a quarter
 * as large, so that a cost that grows faster than the ledger shows.
 */
import assert from 'node:assert/strict';
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { verifierScript } from '../../services/cli/verifier-script.ts';
import { verifyBundle, type VerifyOptions } from '../../services/evidence/verify.ts';
import { nodeCrypto } from '../../services/platform/ledger/crypto.ts';
import { exportLedger } from '../../services/platform/ledger/export.ts';
import { defaultJobs, withWorkers } from '../../services/verifier/workers.ts';
import { cpuMs, median, result, wallMs, type Bench, type BenchResult } from './bench.ts';
import { temporaryDir } from './place.ts';
import { DEPLOYMENT, fillSound, openSound } from './sound-ledger.ts';

const EVENTS = Number(process.env['VERIFY_EVENTS'] ?? 100_000);
const READ_BYTES = 1024 * 1024;
/** None of the entries is looked into. */
const CHAIN_ALONE = { every: 2 ** 40, phase: 2 ** 40 - 1 };

/** Of which the first warms up. */
const RUNS = 4;
const EXPORTS = 3;
const FORMATS = ['binary', 'ndjson'] as const;
type Format = (typeof FORMATS)[number];

interface Exported {
  readonly file: string;
  readonly chainFile: string;
  /** Wall-clock times of the two exports. */
  readonly ms: number;
  readonly chainMs: number;
}

async function exportsOf(events: number, dir: string): Promise<Readonly<Record<Format, Exported>>> {
  const ledger = await openSound(dir);
  try {
    await fillSound(ledger, events);
    const write = (file: string, format: Format, sample?: typeof CHAIN_ALONE): Promise<number> => {
      const options = { deployment: DEPLOYMENT, nowMs: 0, heads: ledger.signer, sample, format };
      const source = Readable.from(exportLedger(ledger.store, options), { objectMode: false });
      return wallMs(() => pipeline(source, createWriteStream(file)));
    };
    const exported = async (format: Format): Promise<Exported> => {
      const file = join(dir, `bundle.${format}`);
      const chainFile = join(dir, `chain.${format}`);
      const chainTimes: number[] = [];
      const times: number[] = [];
      for (let turn = 0; turn < EXPORTS; turn += 1) {
        chainTimes.push(await write(chainFile, format, CHAIN_ALONE));
        times.push(await write(file, format));
      }
      return { file, chainFile, ms: median(times), chainMs: median(chainTimes) };
    };
    return { binary: await exported('binary'), ndjson: await exported('ndjson') };
  } finally {
    await ledger.close();
  }
}

interface Verified {
  readonly perSecond: number;
  readonly entries: number;
}

/** `ms` measures one run: CPU time of the process, or time on the wall where several threads share the work. */
async function verified(file: string, options: VerifyOptions = {}, ms = cpuMs): Promise<Verified> {
  const times: number[] = [];
  let entries = 0;
  for (let turn = 0; turn < RUNS; turn += 1) {
    times.push(
      await ms(async () => {
        const source = createReadStream(file, { highWaterMark: READ_BYTES });
        const report = await verifyBundle(source, nodeCrypto, options);
        assert.equal(report.exitCode, 10, JSON.stringify(report.firstFault));
        ({ entries } = report);
      }),
    );
  }
  return { perSecond: entries / (median(times.slice(1)) / 1000), entries };
}

/** Rates in binary, beside those in NDJSON. */
async function measured(events: number): Promise<BenchResult[]> {
  const { dir, remove } = temporaryDir();
  try {
    const { binary, ndjson } = await exportsOf(events, dir);
    const rate = (name: string, value: number, baseline: number, note: string): BenchResult =>
      result(`${name}_${events}`, { value, baseline, unit: 'entries/s' }, note);
    const deep = { binary: await verified(binary.file), ndjson: await verified(ndjson.file) };
    const sample = { sample: CHAIN_ALONE };
    const chain = {
      binary: await verified(binary.chainFile, sample),
      ndjson: await verified(ndjson.chainFile, sample),
    };
    const onThreads = (file: string, jobs: number, options?: VerifyOptions): Promise<number> =>
      withWorkers({ jobs, script: verifierScript() }, async (workers) => {
        const { perSecond } = await verified(file, { ...options, ...workers }, wallMs);
        return perSecond;
      });
    const jobs = defaultJobs();
    const deepJobs = [await onThreads(binary.file, jobs), await onThreads(binary.file, 1)] as const;
    const chainJobs = [
      await onThreads(binary.chainFile, jobs, sample),
      await onThreads(binary.chainFile, 1, sample),
    ] as const;
    const { entries } = deep.binary;
    const bytesEach = ({ file }: Exported): number => Math.round(statSync(file).size / entries);
    const sizes = `${entries} entries; ${bytesEach(binary)} bytes each, ${bytesEach(ndjson)} in NDJSON`;
    return [
      rate('export', entries / (binary.ms / 1000), entries / (ndjson.ms / 1000), sizes),
      rate(
        'export_chain',
        entries / (binary.chainMs / 1000),
        entries / (ndjson.chainMs / 1000),
        'without bytes and columns',
      ),
      rate('verify_deep', deep.binary.perSecond, deep.ndjson.perSecond, 'of one core'),
      rate(
        'verify_chain',
        chain.binary.perSecond,
        chain.ndjson.perSecond,
        'of one core; chain and tree alone',
      ),
      rate('verify_deep_jobs', ...deepJobs, `on the wall, ${jobs} threads; baseline: one`),
      rate('verify_chain_jobs', ...chainJobs, `as above; chain and tree alone`),
    ];
  } finally {
    remove();
  }
}

async function run(): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const events of [Math.ceil(EVENTS / 4), EVENTS]) results.push(...(await measured(events)));
  return results;
}

export const verifyBench: Bench = {
  name: 'verify',
  about: 'export and verification of a ledger; baseline: the same in NDJSON',
  run,
};
