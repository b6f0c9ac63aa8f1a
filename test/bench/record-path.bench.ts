/** Bytes of records to encoded rows of all tables, one core, no I/O; beside JSON.parse + JSONEachRow text of the same lines. */
import { TOPICS } from '../../schemas/topics.ts';
import { classMappingVersion } from '../../services/evidence/projection.ts';
import type { BusRecord } from '../../services/platform/bus/port.ts';
import { ed25519Verify, sha256 } from '../../services/platform/ledger/crypto.ts';
import { cutRuns, PART_LIMITS } from '../../services/record/cut.ts';
import { prepareRecord } from '../../services/record/prepare.ts';
import { Batch } from '../../services/record/step.ts';
import { chainOfLines, SigningProducer } from '../support/producers/signing.ts';
import { cpuMs, median, result, type Bench } from './bench.ts';
import { benchRecords, LINES_PER_RECORD } from './events.ts';

const RECORDS = 800;
const RECORDS_PER_BATCH = 256;
const RUNS = 9;
const SIGNED_RUNS = 5;
const TOPIC = TOPICS.toolcalls.name;
const mapping = classMappingVersion({ mappings: [], internalHosts: ['localhost'] }, sha256);
const settings = { deployment: 'bench', mapping, sha256, ed25519Verify };

function busRecords(round: number): BusRecord[] {
  return benchRecords({ tenant: 'acme', run: round }, RECORDS, 1).map(({ message }, offset) => ({
    ...message,
    topic: TOPIC,
    partition: 0,
    offset,
    appendMs: Date.UTC(2026, 10, 23, 12) + offset,
  }));
}

function ours(records: readonly BusRecord[]): void {
  let heads = { topic: TOPIC, partition: 0, nextOffset: 0, watermarkMs: 0, heads: new Map() };
  for (let from = 0; from < records.length; from += RECORDS_PER_BATCH) {
    const some = records.slice(from, from + RECORDS_PER_BATCH);
    const batch = new Batch(heads, settings, totalBytes(some));
    for (const part of cutRuns(some, PART_LIMITS)) batch.enter(part.records.map(prepareRecord), new Map());
    heads = batch.outcome().state as typeof heads;
  }
}

const totalBytes = (records: readonly BusRecord[]): number =>
  records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);

/** What a plain consumer does: parse, add the tenant, serialise for JSONEachRow. No check, no hash, no column. */
export function plainRows(value: Uint8Array): Buffer {
  const lines = Buffer.from(value).toString().split('\n');
  return Buffer.from(lines.map((line) => JSON.stringify({ ...JSON.parse(line), tenant: 'acme' })).join('\n'));
}

/** The same records under batch signatures: each a stream of its own, all of one host. */
function signed(records: readonly BusRecord[], host: SigningProducer): BusRecord[] {
  return records.map((record) => {
    const lines = Buffer.from(record.value ?? [])
      .toString()
      .split('\n');
    const { stream = '' } = record.headers;
    const hashes = chainOfLines(Buffer.from(stream, 'hex'), 0, lines);
    const batch = { stream, firstSeq: 0, lastSeq: lines.length - 1, lastHash: hashes.at(-1) as Buffer };
    return { ...record, headers: { ...record.headers, 'batch-sig': host.header(batch) } };
  });
}

/** Cold: certificate and batch are checked; warm: the stream is known, as from its second record on. */
async function runSigned() {
  const events = RECORDS * LINES_PER_RECORD;
  const rates = { unsigned: [] as number[], cold: [] as number[], warm: [] as number[] };
  const host = new SigningProducer();
  for (let n = 0; n < SIGNED_RUNS; n += 1) {
    const plain = busRecords(RUNS + n);
    const some = signed(plain, host);
    for (const [name, records] of [
      ['unsigned', plain],
      ['cold', some],
      ['warm', some],
    ] as const)
      rates[name].push(events / ((await cpuMs(() => ours(records))) / 1000));
  }
  const baseline = median(rates.unsigned.slice(1));
  const one = (name: 'cold' | 'warm', note: string) => {
    const value = median(rates[name].slice(1));
    return result(`record_pure_path_signed_${name}`, { value, baseline, unit: 'events/s' }, note);
  };
  return [
    one('warm', `one signature per ${LINES_PER_RECORD} events; baseline: the same records unsigned`),
    one('cold', 'every record is the first of its stream: certificate and signature'),
  ];
}

async function run() {
  const events = RECORDS * LINES_PER_RECORD;
  const oursPerSecond: number[] = [];
  const plainPerSecond: number[] = [];
  for (let n = 0; n < RUNS; n += 1) {
    const records = busRecords(n);
    oursPerSecond.push(events / ((await cpuMs(() => ours(records))) / 1000));
    const plain = await cpuMs(() => {
      for (const { value } of records) plainRows(value ?? new Uint8Array(0));
    });
    plainPerSecond.push(events / (plain / 1000));
  }
  // The first runs are the compiler's.
  const value = median(oursPerSecond.slice(2));
  const baseline = median(plainPerSecond.slice(2));
  const note = 'events a second of processor time; baseline: JSON.parse + JSON.stringify of the same lines';
  const path = result('record_pure_path', { value, baseline, unit: 'events/s' }, note);
  return [path, ...(await runSigned())];
}

export const recordPath: Bench = {
  name: 'record_pure_path',
  about: 'record: bytes to encoded, hashed rows, no I/O',
  run,
};
