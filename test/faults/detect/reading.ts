/** Detect over a bus whose reading position is told: where it was assigned, and each batch before it is processed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../../schemas/config/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { BusConsumer, ConsumeOptions } from '../../../services/platform/bus/port.ts';
import type { RunningStep } from '../../../services/platform/step.ts';
import { runDetect } from '../../integration/detect/harness.ts';

/** Small batches: many places to be cut off at. */
const MAX_BATCH_RECORDS = 32;
const TOPIC = TOPICS.toolcalls.name;

export class Position {
  readonly offsets = new Map<number, number>();
  private readonly moved: (records: number) => void;

  /** `moved` is called with the number of records of topic toolcalls that were read, of all partitions. */
  constructor(moved: (records: number) => void) {
    this.moved = moved;
  }

  set(topic: string, partition: number, offset: number): void {
    if (topic !== TOPIC) return;
    this.offsets.set(partition, offset);
    this.moved([...this.offsets.values()].reduce((sum, each) => sum + each, 0));
  }
}

/** How far several readers of one log have got together. */
export class Together {
  private readonly furthest = new Map<number, number>();
  private wake: () => void = () => undefined;

  /** For one more reader. */
  position(): Position {
    const position: Position = new Position(() => {
      for (const [partition, offset] of position.offsets) {
        this.furthest.set(partition, Math.max(offset, this.furthest.get(partition) ?? 0));
      }
      this.wake();
    });
    return position;
  }

  private get records(): number {
    return [...this.furthest.values()].reduce((sum, each) => sum + each, 0);
  }

  async until(records: number): Promise<void> {
    while (this.records < records) await new Promise<void>((resolve) => (this.wake = resolve));
  }
}

export async function runReading(bus: EmbeddedBus, config: Config, position: Position): Promise<RunningStep> {
  const consume = (options: ConsumeOptions): Promise<BusConsumer> =>
    bus.consume({
      ...options,
      maxBatchRecords: MAX_BATCH_RECORDS,
      onAssigned: async (at) => {
        const offset = await options.onAssigned?.(at);
        position.set(at.topic, at.partition, offset ?? 0);
        return offset;
      },
      onBatch: async (batch, context) => {
        const last = batch.records.at(-1);
        position.set(batch.topic, batch.partition, (last?.offset ?? -1) + 1);
        await options.onBatch(batch, context);
      },
    });
  const watched = new Proxy(bus, {
    get(target, name) {
      if (name === 'consume') return consume;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return runDetect(watched, config);
}

const QUIET_MS = 3_000;

/** Waits until detection moves nothing any more: all absences decided, no TICK wanted. */
export async function rest(bus: EmbeddedBus, timeoutMs: number): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  const topics = [TOPIC, TOPICS.facts.name, TOPICS.alerts.name, TOPICS.detectState.name];
  let seen = '';
  let sinceMs = Date.now();
  while (Date.now() - sinceMs < QUIET_MS) {
    if (Date.now() > endMs) throw new Error('detect did not come to rest');
    await sleep(100);
    const now = JSON.stringify(await Promise.all(topics.map((topic) => bus.offsets(topic))));
    if (now !== seen) sinceMs = Date.now();
    seen = now;
  }
}
