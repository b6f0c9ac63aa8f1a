/**
 * Sections of a binary bundle become lines, one after another. Where there are workers, blocks are looked into ahead of
 * that, as many at a time as there is room for, and taken in their order all the same: a fault behind is told after those
 * before it. Memory: the blocks under way, each of at most 64 MiB. Pure; who the workers are is for the caller to say.
 */
import { BlockEntry } from './block-entry.ts';
import type { Section } from './bundle-binary.ts';
import type { BundleHeader, BundleLine } from './bundle.ts';
import type { Depth, Sample, VerifiedLog } from './depth.ts';
import type { FoundBlock } from './find-block.ts';
import { RowsBlock } from './rows-block.ts';
import { TABLE_LAYOUTS } from './table-layout.ts';

/** Look into blocks on other threads. Whatever keeps a worker from answering must reject: no answer is never a yes. */
export interface BlockWorkers {
  /** Blocks that are given out at most at a time. */
  readonly room: number;
  /** Bytes of blocks from which on it is worth the start of workers. */
  readonly worthBytes: number;
  /** Before the first block: what its rows were classified with. */
  begin(mappings: BundleHeader['mappings']): void;
  /**
   * Takes the bytes away and gives them back. `found` is undefined for what is no block. Rejects with
   * verify_worker_failed where a worker ends without an answer.
   */
  find(bytes: Uint8Array, depth: Depth): Promise<LookedInto>;
}

export interface LookedInto {
  readonly bytes: Uint8Array;
  readonly found: FoundBlock | undefined;
}

/** What is looked into, as VerifyOptions say it. */
export interface LookAhead {
  readonly workers: BlockWorkers;
  readonly sample: Sample | undefined;
  readonly resume: readonly VerifiedLog[] | undefined;
}

/** One after another, on this thread. */
export async function* linesOfSections(
  sections: AsyncIterable<Section>,
): AsyncGenerator<Iterable<BundleLine>> {
  for await (const section of sections) yield linesOf(section);
}

function linesOf(section: Section): Iterable<BundleLine> {
  if (section.kind === 'line') return [section.line];
  return entriesOf(new RowsBlock(section.bytes, section.layouts));
}

function* entriesOf(block: RowsBlock): Generator<BlockEntry> {
  for (let entry = 0; entry < block.count; entry += 1) yield new BlockEntry(block, entry);
}

/** Blocks under way hold so many bytes at most, or are one. */
const MAX_BYTES_AHEAD = 128 * 1024 * 1024;

interface Waiting {
  readonly lines: () => Promise<Iterable<BundleLine>>;
  readonly bytes: number;
}

/** The same lines, and the same failures at the same places. */
export async function* linesLookedInto(
  sections: AsyncGenerator<Section>,
  ahead: LookAhead,
): AsyncGenerator<Iterable<BundleLine>> {
  const queue = new Queue(sections, ahead);
  try {
    for (;;) {
      await queue.fill();
      const next = queue.take();
      if (next === undefined) return;
      yield await next.lines();
    }
  } finally {
    await sections.return(undefined);
  }
}

class Queue {
  readonly #sections: AsyncGenerator<Section>;
  readonly #ahead: LookAhead;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #seenBytes = 0;
  #isOver = false;
  #partial = true;
  #below = 0;

  constructor(sections: AsyncGenerator<Section>, ahead: LookAhead) {
    this.#sections = sections;
    this.#ahead = ahead;
  }

  async fill(): Promise<void> {
    const { room } = this.#ahead.workers;
    while (!this.#isOver && this.#waiting.length < room && this.#bytes < MAX_BYTES_AHEAD) {
      try {
        const next = await this.#sections.next();
        if (next.done === true) this.#isOver = true;
        else this.#push(next.value);
      } catch (error) {
        // It comes behind what was read before it.
        this.#isOver = true;
        this.#waiting.push({ lines: () => Promise.reject(error), bytes: 0 });
      }
    }
  }

  take(): Waiting | undefined {
    const next = this.#waiting.shift();
    this.#bytes -= next?.bytes ?? 0;
    return next;
  }

  #push(section: Section): void {
    if (section.kind === 'line') {
      this.#see(section.line);
      this.#waiting.push({ lines: () => Promise.resolve([section.line]), bytes: 0 });
      return;
    }
    const { length } = section.bytes;
    this.#seenBytes += length;
    this.#bytes += length;
    const isWorth = this.#seenBytes > this.#ahead.workers.worthBytes;
    if (isWorth && !this.#partial && section.layouts === TABLE_LAYOUTS)
      this.#waiting.push({ lines: this.#given(section.bytes), bytes: length });
    else this.#waiting.push({ lines: async () => linesOf(section), bytes: length });
  }

  #given(bytes: Uint8Array): Waiting['lines'] {
    const { workers, sample } = this.#ahead;
    const answer = workers.find(bytes, { sample, below: this.#below });
    // Whoever takes the block gets the error; until then it is nobody's.
    answer.catch(() => undefined);
    return async () => {
      const { bytes: back, found } = await answer;
      return entriesOf(new RowsBlock(back, TABLE_LAYOUTS, found));
    };
  }

  /** Only to know what to look into: that these lines stand where they may is checked when they are taken. */
  #see(line: BundleLine): void {
    if (line.type === 'header') {
      this.#partial = line.partial;
      this.#ahead.workers.begin(line.mappings);
    }
    if (line.type === 'log')
      this.#below = this.#ahead.resume?.find(({ logId }) => logId === line.logId)?.size ?? 0;
  }
}
