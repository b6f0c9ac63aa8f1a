/** Lines out of the embedded log, block by block. A line that is erased is an empty one: those after it keep their numbers. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { splitLines } from '../../../../schemas/bus/record.ts';
import type { BusRecord, IsErased } from '../port.ts';
import { encodeBlock, readBlock, readBlockHead } from './block.ts';
import type { EmbeddedPartition } from './partition.ts';
import type { StoredBlock } from './storage.ts';

const BLOCKS_PER_TURN = 8;
const LF = Buffer.of(10);
const NO_BYTES = new Uint8Array(0);

/** Answers how many lines were erased. Idempotent. The bytes may stay in free pages until the files are renewed. */
export async function eraseLines(partition: EmbeddedPartition, isErased: IsErased): Promise<number> {
  let erased = 0;
  for (let from = partition.earliest; ;) {
    const piece = take(partition.blocks(from), BLOCKS_PER_TURN);
    const last = piece.at(-1);
    if (last === undefined) return erased;
    for (const block of piece) erased += await eraseInBlock(partition, block, isErased);
    from = last.baseOffset + readBlockHead(last.bytes).count;
    if (piece.length < BLOCKS_PER_TURN) return erased;
    await nextTurn();
  }
}

async function eraseInBlock(
  partition: EmbeddedPartition,
  block: StoredBlock,
  isErased: IsErased,
): Promise<number> {
  const { appendMs, count } = readBlockHead(block.bytes);
  const records: BusRecord[] = [];
  const limits = { from: 0, to: block.baseOffset + count, maxBytes: Infinity, maxRecords: Infinity };
  readBlock(
    { topic: partition.topic, partition: partition.partition, ...block },
    block.bytes,
    limits,
    records,
  );
  let erased = 0;
  const messages = records.map((record) => {
    const left = withoutErased(record, isErased);
    erased += left.erased;
    return left.erased === 0 ? record : { ...record, value: left.value };
  });
  if (erased > 0)
    await partition.replaceBlock({ baseOffset: block.baseOffset, bytes: encodeBlock(appendMs, messages) });
  return erased;
}

function withoutErased(record: BusRecord, isErased: IsErased): { value: Uint8Array; erased: number } {
  const lines = splitLines(record.value ?? NO_BYTES);
  let erased = 0;
  const left = lines.map((line, index) => {
    if (line.length === 0 || !isErased(record, index, line)) return line;
    erased += 1;
    return NO_BYTES;
  });
  const value = Buffer.concat(left.flatMap((line, index) => (index === 0 ? [line] : [LF, line])));
  return { value, erased };
}

export async function dropAll(partition: EmbeddedPartition): Promise<void> {
  for (;;) {
    const piece = take(partition.blocks(0), BLOCKS_PER_TURN * 8);
    if (piece.length === 0) return;
    await partition.removeBlocks(piece.map(({ baseOffset }) => baseOffset));
    await nextTurn();
  }
}

function take<Item>(items: Iterable<Item>, count: number): Item[] {
  const taken: Item[] = [];
  for (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}
