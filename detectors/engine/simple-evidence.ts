/** What simple rules remember as entries and nodes, put together when an alert or a snapshot cites them. */
import type { CallSummary } from './call.ts';
import type { TakenCall } from './kept-calls.ts';
import type { Entry, Node } from './prefixes.ts';
import { asFirst, NONE, type SimpleMemory } from './simple-memory.ts';
import type { SimpleCompleted } from './simple-row.ts';
import type { Completed, TimeBasis } from './state.ts';

const NO_FIELDS: readonly (string | null)[] = [];

/** An event that simple rules touch. Of what the generic path keeps of an entry they ask for nothing. */
export class SimpleEntry implements Entry {
  /** Its number in memory. */
  readonly number: number;
  readonly timeMs: number;
  readonly appendMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  private readonly kept: TakenCall;
  private made: CallSummary | undefined;
  readonly callKey = '';
  readonly stepMask = 0;
  readonly guardMask = 0;
  readonly fields = NO_FIELDS;
  readonly alerted = null;

  constructor({ entries }: SimpleMemory, number: number) {
    this.number = number;
    this.timeMs = entries.timeMs(number);
    this.appendMs = entries.appendMs(number);
    this.partition = entries.partition(number);
    this.offset = entries.offset(number);
    this.line = entries.line(number);
    this.kept = entries.kept.taken(number);
  }

  get reference(): CallSummary {
    return (this.made ??= this.kept.reference(this));
  }
}

/** One object an entry, so that a packer can tell them apart. */
export class Evidence {
  private readonly memory: SimpleMemory;
  private readonly entries = new Map<number, SimpleEntry>();

  constructor(memory: SimpleMemory) {
    this.memory = memory;
  }

  entry(number: number): SimpleEntry {
    const known = this.entries.get(number);
    if (known !== undefined) return known;
    const made = new SimpleEntry(this.memory, number);
    this.entries.set(number, made);
    return made;
  }

  /** The prefix that a node, or an entry as a node, stands for; null where there is none. */
  prefix(held: number, timeBasis: TimeBasis, startMs: number): Node | null {
    if (held === NONE) return null;
    if (held < NONE) return this.node(asFirst(held), { step: 0, prev: null, timeBasis, startMs });
    const { nodes } = this.memory;
    const prev = this.prefix(nodes.prev(held), timeBasis, startMs);
    const step = nodes.step(held);
    return this.node(nodes.entry(held), { step, prev, timeBasis, startMs });
  }

  completed({ touch, timeBasis, entry, prev, startMs }: SimpleCompleted): Completed {
    const before = this.prefix(prev, timeBasis, startMs);
    return { last: this.node(entry, { step: touch.step, prev: before, timeBasis, startMs }), timeBasis };
  }

  private node(
    number: number,
    of: {
      readonly step: number;
      readonly prev: Node | null;
      readonly timeBasis: TimeBasis;
      readonly startMs: number;
    },
  ): Node {
    const entry = this.entry(number);
    const { step, prev, startMs, timeBasis } = of;
    const lastMs = timeBasis === 'event' ? entry.timeMs : entry.appendMs;
    return { startMs, lastMs, step, entry, prev, signature: '' };
  }
}
