/**
 * Snapshots on the bus, so that a partition can move to another machine: JSON, gzipped, in chunks ≤ 512 KiB, written to
 * two slots in turn, the manifest last. A crash while one slot is written leaves the other whole; the newest whole one
 * wins. The topic is compacted: keys are (topic, partition, slot, chunk).
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { z } from 'zod';
import { TOPICS } from '../../schemas/topics.ts';
import type { Bus, BusMessage, BusProducer, TopicPartition } from '../platform/bus/port.ts';

const MAX_CHUNK_BYTES = 512 * 1024;
const MAX_SNAPSHOT_BYTES = 2 * 1024 ** 3;
const zip = promisify(gzip);
const unzip = promisify(gunzip);

const zManifest = z.strictObject({
  v: z.literal(1),
  /** Grows by one with every snapshot of the partition. */
  generation: z.number().int().min(0),
  slot: z.union([z.literal(0), z.literal(1)]),
  chunks: z.number().int().min(1),
  bytes: z.number().int().min(0),
  sha256: z.string(),
  /** Everything below it is in the snapshot. */
  nextOffset: z.number().int().min(0),
  /** Which rules and settings made it. */
  settingsHash: z.string(),
});
type Manifest = z.infer<typeof zManifest>;

export interface LoadedSnapshot {
  readonly state: unknown;
  readonly nextOffset: number;
  readonly generation: number;
}

export interface SnapshotStore {
  load(at: TopicPartition): Promise<LoadedSnapshot | undefined>;
  /** Durable when it resolves. */
  save(at: TopicPartition, snapshot: LoadedSnapshot): Promise<void>;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const keyPrefix = (at: TopicPartition): string => `${at.topic}\0${at.partition}\0`;

interface Slot {
  manifest: Manifest | undefined;
  readonly chunks: Map<number, Uint8Array>;
}

/** All records of this partition's slots, the last of each key. Chunks of another generation do not count as parts. */
async function readSlots(bus: Bus, at: TopicPartition): Promise<Slot[]> {
  const slots: Slot[] = [0, 1].map(() => ({ manifest: undefined, chunks: new Map() }));
  const topic = TOPICS.detectState.name;
  const prefix = keyPrefix(at);
  for await (const records of bus.read({ topic, partition: 0, from: 0 })) {
    for (const record of records) {
      const key = record.key === null ? '' : new TextDecoder().decode(record.key);
      if (!key.startsWith(prefix) || record.value === null) continue;
      const [slotText = '', part = ''] = key.slice(prefix.length).split('\0');
      const slot = slots[Number(slotText)];
      if (slot === undefined) continue;
      if (part === 'manifest') slot.manifest = readManifest(record.value);
      else slot.chunks.set(Number(part), record.value);
    }
  }
  return slots;
}

function readManifest(value: Uint8Array): Manifest | undefined {
  try {
    return zManifest.safeParse(JSON.parse(new TextDecoder().decode(value))).data;
  } catch {
    return undefined;
  }
}

/** Bytes of a slot when every chunk that its manifest names is there and the hash fits. */
function wholeBytes(slot: Slot): Uint8Array | undefined {
  const { manifest } = slot;
  if (manifest === undefined) return undefined;
  const parts: Uint8Array[] = [];
  for (let index = 0; index < manifest.chunks; index++) {
    const chunk = slot.chunks.get(index);
    if (chunk === undefined) return undefined;
    parts.push(chunk);
  }
  const bytes = Buffer.concat(parts);
  const hash = createHash('sha256').update(bytes).digest('hex');
  return hash === manifest.sha256 && bytes.length === manifest.bytes ? bytes : undefined;
}

function saveMessages(at: TopicPartition, bytes: Uint8Array, manifest: Manifest): BusMessage[] {
  const key = (part: string): Uint8Array => text(`${keyPrefix(at)}${manifest.slot}\0${part}`);
  const chunks = Array.from({ length: manifest.chunks }, (_, index): BusMessage => {
    const value = bytes.subarray(index * MAX_CHUNK_BYTES, (index + 1) * MAX_CHUNK_BYTES);
    return { key: key(String(index)), value, headers: {} };
  });
  return [...chunks, { key: key('manifest'), value: text(JSON.stringify(manifest)), headers: {} }];
}

/** Snapshots on topic detect-state; `settingsHash` is asked each time, since rules may be loaded anew. A snapshot of other settings (rules' budgets, mappings, lists) is not taken: the log is read again. */
export function busSnapshots(bus: Bus, producer: BusProducer, settingsHash: () => string): SnapshotStore {
  return {
    async load(at) {
      const wanted = settingsHash();
      const slots = await readSlots(bus, at);
      const newestFirst = slots
        .filter((slot) => slot.manifest?.settingsHash === wanted)
        .toSorted((a, b) => (b.manifest?.generation ?? -1) - (a.manifest?.generation ?? -1));
      for (const slot of newestFirst) {
        const bytes = wholeBytes(slot);
        if (bytes === undefined || slot.manifest === undefined) continue;
        const json = await unzip(bytes, { maxOutputLength: MAX_SNAPSHOT_BYTES });
        const { generation, nextOffset } = slot.manifest;
        return { state: JSON.parse(json.toString('utf8')) as unknown, nextOffset, generation };
      }
      return undefined;
    },
    async save(at, snapshot) {
      // Of the rules that made the state: they may be others by the time it is packed.
      const made = settingsHash();
      const bytes = await zip(JSON.stringify(snapshot.state), { level: 1 });
      const manifest: Manifest = {
        v: 1,
        generation: snapshot.generation,
        slot: snapshot.generation % 2 === 0 ? 0 : 1,
        chunks: Math.max(1, Math.ceil(bytes.length / MAX_CHUNK_BYTES)),
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        nextOffset: snapshot.nextOffset,
        settingsHash: made,
      };
      // One message a send: a record's limit is a partition's, not a batch's.
      for (const message of saveMessages(at, bytes, manifest)) {
        await producer.send(TOPICS.detectState.name, 0, [message]);
      }
    },
  };
}
