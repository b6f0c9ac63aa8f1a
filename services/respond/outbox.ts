/**
 * The outbox: what is to be delivered, on the compacted topic outbox, one entry a destination and subject. An entry is
 * durable before its first try and marked after its last, so that a crash repeats at most the tries whose answers were
 * not yet written down.
 */
import { z } from 'zod';
import { zName } from '../../schemas/event/v1.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Bus, BusMessage, BusProducer, BusRecord } from '../platform/bus/port.ts';

export const zOutboxEntry = z.strictObject({
  v: z.literal(1),
  destination: zName,
  /** Alert id; of a mark, what was done. */
  subject: z.string().min(1).max(1024),
  tenant: zName,
  /** Partition of topic alerts that it came from: whoever owns that one delivers it. */
  partition: z.number().int().min(0),
  state: z.enum(['pending', 'delivered', 'dead']),
  attempts: z.number().int().min(0),
  nextAttemptMs: z.number().int(),
  updatedMs: z.number().int(),
  responseStatus: z.number().int().nullable(),
  /** Why a try failed or a delivery is dead. */
  reason: z.string().max(64).nullable(),
  /** The exact request body; kept while pending. */
  body: z.string().optional(),
});
export type OutboxEntry = z.infer<typeof zOutboxEntry>;

export interface Outbox {
  /** Takes in what other processes wrote, up to the end of the topic at the time of the call. */
  catchUp(): Promise<void>;
  get(destination: string, subject: string): OutboxEntry | undefined;
  /** Pending entries, oldest first. */
  pending(): Iterable<OutboxEntry>;
  pendingCount(destination: string): number;
  /** Durable when resolved, all entries with one append. */
  put(entries: readonly OutboxEntry[]): Promise<void>;
  /** Forgets finished entries last changed before `beforeMs` for which `owns` holds; answers how many. */
  prune(beforeMs: number, owns: (partition: number) => boolean): Promise<number>;
}

const PARTITION = 0;
const SEPARATOR = '\0';
const FORMAT_OUTBOX = 'outbox/1';
const MAX_TOMBSTONES = 1000;

interface Placed {
  readonly entry: OutboxEntry;
  readonly offset: number;
}

export function createOutbox(bus: Bus, producer: BusProducer): Outbox {
  return new BusOutbox(bus, producer);
}

/** Newest entry of each key, also the finished ones: they are what keeps an alert that is read twice from being sent twice. */
class BusOutbox implements Outbox {
  readonly #bus: Bus;
  readonly #producer: BusProducer;
  readonly #entries = new Map<string, Placed>();
  readonly #pending = new Map<string, OutboxEntry>();
  readonly #pendingByDestination = new Map<string, number>();
  #nextOffset = 0;

  constructor(bus: Bus, producer: BusProducer) {
    this.#bus = bus;
    this.#producer = producer;
  }

  async catchUp(): Promise<void> {
    const [at] = await this.#bus.offsets(TOPICS.outbox.name);
    if (at === undefined || at.latest <= this.#nextOffset) return;
    const range = { topic: TOPICS.outbox.name, partition: at.partition, from: this.#nextOffset };
    for await (const records of this.#bus.read({ ...range, to: at.latest }))
      for (const record of records) this.#takeIn(record);
    this.#nextOffset = Math.max(this.#nextOffset, at.latest);
  }

  get(destination: string, subject: string): OutboxEntry | undefined {
    return this.#entries.get(keyOf(destination, subject))?.entry;
  }

  pending(): Iterable<OutboxEntry> {
    return this.#pending.values();
  }

  pendingCount(destination: string): number {
    return this.#pendingByDestination.get(destination) ?? 0;
  }

  async put(entries: readonly OutboxEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const { baseOffset } = await this.#producer.send(TOPICS.outbox.name, PARTITION, entries.map(encode));
    for (const [index, entry] of entries.entries()) this.#place(entry, baseOffset + index);
  }

  async prune(beforeMs: number, owns: (partition: number) => boolean): Promise<number> {
    const keys: string[] = [];
    for (const [key, { entry }] of this.#entries) {
      if (keys.length === MAX_TOMBSTONES) break;
      if (entry.state !== 'pending' && entry.updatedMs < beforeMs && owns(entry.partition)) keys.push(key);
    }
    if (keys.length === 0) return 0;
    const tombstones = keys.map((key) => ({ key: Buffer.from(key, 'utf8'), value: null, headers: {} }));
    await this.#producer.send(TOPICS.outbox.name, PARTITION, tombstones);
    for (const key of keys) this.#entries.delete(key);
    return keys.length;
  }

  #takeIn(record: BusRecord): void {
    if (record.key === null) return;
    const key = Buffer.from(record.key).toString('utf8');
    if (record.value === null) this.#remove(key, record.offset);
    const entry = decode(record.value);
    if (entry !== undefined) this.#place(entry, record.offset);
  }

  /** The higher offset holds: a topic that is read while we append must not bring an older state back. */
  #place(entry: OutboxEntry, offset: number): void {
    const key = keyOf(entry.destination, entry.subject);
    const held = this.#entries.get(key);
    if (held !== undefined && held.offset >= offset) return;
    const { body: _body, ...finished } = entry;
    this.#entries.set(key, { entry: entry.state === 'pending' ? entry : finished, offset });
    this.#setPending(key, entry.state === 'pending' ? entry : undefined);
  }

  #remove(key: string, offset: number): void {
    const held = this.#entries.get(key);
    if (held === undefined || held.offset >= offset) return;
    this.#entries.delete(key);
    this.#setPending(key, undefined);
  }

  #setPending(key: string, entry: OutboxEntry | undefined): void {
    const before = this.#pending.get(key);
    if (entry === undefined) this.#pending.delete(key);
    else this.#pending.set(key, entry);
    const destination = entry?.destination ?? before?.destination;
    if (destination === undefined) return;
    const change = Number(entry !== undefined) - Number(before !== undefined);
    this.#pendingByDestination.set(destination, this.pendingCount(destination) + change);
  }
}

function keyOf(destination: string, subject: string): string {
  return `${destination}${SEPARATOR}${subject}`;
}

function encode(entry: OutboxEntry): BusMessage {
  return {
    key: Buffer.from(keyOf(entry.destination, entry.subject), 'utf8'),
    value: Buffer.from(JSON.stringify(entry), 'utf8'),
    headers: { format: FORMAT_OUTBOX },
  };
}

/** Undefined for what is no entry: it is not ours, and nothing is delivered for it. */
function decode(value: Uint8Array | null): OutboxEntry | undefined {
  if (value === null) return undefined;
  try {
    return zOutboxEntry.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch {
    return undefined;
  }
}
