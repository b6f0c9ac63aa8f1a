/** What sealing payloads costs the record path, and what it leaves of a line: many lines a record, and one. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeEventRecord } from '../../schemas/bus/record.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { classMappingVersion } from '../../services/evidence/projection.ts';
import type { BusRecord } from '../../services/platform/bus/port.ts';
import { ed25519Verify, sha256 } from '../../services/platform/ledger/crypto.ts';
import { openKeyStore } from '../../services/platform/payloads/key-store.ts';
import { prepareRecord } from '../../services/record/prepare.ts';
import { sealPayloads } from '../../services/record/seal-payloads.ts';
import type { BatchOutcome } from '../../services/record/outcome.ts';
import { Batch } from '../../services/record/step.ts';
import { cpuMs, median, result, type Bench, type BenchResult } from './bench.ts';
import { hexOf, hostLine } from './host-lines.ts';

const EVENTS = 4096;
const RUNS = 7;
const TOPIC = TOPICS.toolcalls.name;
const mapping = classMappingVersion({ mappings: [], internalHosts: ['localhost'] }, sha256);
const settings = { deployment: 'bench', mapping, sha256, ed25519Verify };
function batchOf(linesPerRecord: number): { outcome: BatchOutcome; bytes: number } {
  const records: BusRecord[] = Array.from({ length: EVENTS / linesPerRecord }, (_, offset) => {
    const stream = hexOf(`s${offset}`).slice(0, 32);
    const lines = Array.from({ length: linesPerRecord }, (_line, seq) => Buffer.from(hostLine(stream, seq)));
    const session = hexOf(stream).slice(0, 32);
    const message = encodeEventRecord({ tenant: 'acme', session, stream, firstSeq: 0, lines });
    return { ...message, topic: TOPIC, partition: 0, offset, appendMs: Date.UTC(2026, 10, 26) + offset };
  });
  const heads = { topic: TOPIC, partition: 0, nextOffset: 0, watermarkMs: 0, heads: new Map() };
  const batch = new Batch(heads, settings);
  batch.enter(records.map(prepareRecord), new Map());
  const outcome = batch.outcome();
  return { outcome, bytes: outcome.lines.reduce((sum, { bytes }) => sum + bytes.length, 0) };
}

async function run(): Promise<readonly BenchResult[]> {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-bench-seal-'));
  const keys = openKeyStore(dir, randomBytes);
  const results: BenchResult[] = [];
  try {
    for (const linesPerRecord of [32, 2, 1]) {
      const { outcome, bytes } = batchOf(linesPerRecord);
      const clear = outcome.tables.payloads.bytes().length;
      const costs: number[] = [];
      let sealed = outcome;
      for (let n = 0; n < RUNS; n += 1)
        costs.push(
          (await cpuMs(async () => void (sealed = await sealPayloads(outcome, { keys, sha256 })))) / EVENTS,
        );
      const name = `seal_${linesPerRecord}_a_record`;
      const cost = { value: 1000 * median(costs.slice(2)), baseline: null, unit: 'us/event' };
      results.push(result(`${name}_cost`, cost, 'processor time of one thread'));
      const size = sealed.tables.payloads.bytes().length / EVENTS;
      const note = `row of table payloads as inserted; a line has ${Math.round(bytes / EVENTS)} B; baseline: in the clear`;
      results.push(result(`${name}_bytes`, { value: size, baseline: clear / EVENTS, unit: 'B' }, note));
    }
  } finally {
    await keys.close();
    rmSync(dir, { recursive: true, force: true });
  }
  return results;
}

export const seal: Bench = {
  name: 'seal',
  about: 'payloads under keys of their subjects: time and bytes',
  run,
};
