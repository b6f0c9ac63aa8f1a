/** A store and a signer in a directory that hold many events as `record` writes them: chained, in trees, signed. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { TOPICS } from '../../schemas/topics.ts';
import { classMappingVersion } from '../../services/evidence/projection.ts';
import type { BusMessage, BusRecord } from '../../services/platform/bus/port.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { ed25519Verify, sha256 } from '../../services/platform/ledger/crypto.ts';
import type { SubjectKeys } from '../../services/platform/payloads/keys.ts';
import { openChdbStore } from '../../services/platform/store/chdb/open.ts';
import { migrate } from '../../services/platform/store/migrate.ts';
import type { Store } from '../../services/platform/store/port.ts';
import { PartitionWriter } from '../../services/record/loop.ts';
import { openLocalSigner, type LocalSigner } from '../../services/sign/local-signer.ts';
import { benchRecords, LINES_PER_RECORD } from './events.ts';

export const DEPLOYMENT = 'bench';
const PARTITIONS = 4;
const RECORDS_PER_BATCH = 256;
const START_MS = Date.UTC(2026, 10, 23, 12);

export interface SoundLedger {
  readonly store: Store;
  readonly signer: LocalSigner;
  close(): Promise<void>;
}

export async function openSound(dir: string): Promise<SoundLedger> {
  mkdirSync(join(dir, 'store'), { recursive: true });
  const store = await openChdbStore({
    dir: join(dir, 'store'),
    maxMemoryBytes: 1024 ** 3,
    queryTimeoutMs: 600_000,
    log: pino({ level: 'silent' }),
  });
  await migrate(store, 'tripline');
  const signer = await openLocalSigner({ dir, clock: systemClock });
  const close = async (): Promise<void> => {
    await signer.close();
    await store.close();
  };
  return { store, signer, close };
}

export interface Filling {
  /** Records of one batch, of LINES_PER_RECORD lines each. */
  readonly records: (run: number, count: number) => readonly { readonly message: BusMessage }[];
  /** Payloads are sealed under these; absent: they lie in the clear. */
  readonly keys?: SubjectKeys;
}
const SYNTHETIC: Filling = { records: (run, count) => benchRecords({ tenant: 'acme', run }, count, 1) };

/** About so many events, in four logs; of 1.1 kB where nothing else is asked for. */
export async function fillSound(
  { store, signer }: SoundLedger,
  events: number,
  { records: recordsOf, keys }: Filling = SYNTHETIC,
): Promise<void> {
  const mapping = classMappingVersion({ mappings: [], internalHosts: ['localhost'] }, sha256);
  await store.insertRows('class_mappings', [
    { version: mapping.version, body: mapping.body, first_used: '2026-01-01 00:00:00.000' },
  ]);
  const topic = TOPICS.toolcalls.name;
  const settings = {
    deployment: DEPLOYMENT,
    mapping,
    sha256,
    ed25519Verify,
    maxBatchEvents: 8192,
    maxBatchBytes: 2 ** 24,
  };
  const bus = { read: () => nothing() };
  const writers = Array.from(
    { length: PARTITIONS },
    (_, partition) =>
      new PartitionWriter({ topic, partition }, { bus, clock: systemClock, store, signer, keys }, settings),
  );
  for (const writer of writers) await writer.start();
  const offsets = writers.map(() => 0);
  const context = { heartbeat: async () => undefined, isStale: () => false, commit: async () => undefined };
  const rounds = Math.ceil(events / LINES_PER_RECORD / RECORDS_PER_BATCH);
  for (let run = 0; run < rounds; run++) {
    const partition = run % PARTITIONS;
    const records: BusRecord[] = recordsOf(run, RECORDS_PER_BATCH).map(({ message }) => {
      const offset = offsets[partition] as number;
      offsets[partition] = offset + 1;
      return { ...message, topic, partition, offset, appendMs: START_MS + offset };
    });
    await writers[partition]?.onBatch({ records }, context);
  }
}

// eslint-disable-next-line require-yield
async function* nothing(): AsyncGenerator<readonly BusRecord[]> {
  await Promise.resolve();
}
