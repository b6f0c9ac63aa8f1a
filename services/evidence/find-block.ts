/**
 * What can be told of a block of rows without those before it: where its rows lie, their leaf hashes, which entries hold
 * what their bytes give, which batch signatures hold. It only ever says yes. Whoever goes through the log in its order
 * takes these answers, looks himself into whatever has none, and joins them to what came before. Pure.
 */
import { isTriplineError } from '../../schemas/errors.ts';
import type { BatchSignatures } from './batch-signature.ts';
import { BlockEntry, LEDGER, type LedgerRow } from './block-entry.ts';
import { concatBytes } from './bytes.ts';
import { lookOf, type Depth } from './depth.ts';
import { ENTRY_FLAGS } from './entry.ts';
import { RowsBlock, type BlockFindings, type BlockPlaces } from './rows-block.ts';
import { TABLE_LAYOUTS } from './table-layout.ts';
import { usualTimes, type Times } from './verify-block.ts';
import { batchKeyId } from './verify-producers.ts';
import type { RowsCheck } from './verify-projections.ts';

export interface BlockCheck extends Pick<RowsCheck, 'crypto' | 'mappings'> {
  readonly signatures: BatchSignatures;
  readonly depth: Depth;
}

export interface FoundBlock extends BlockPlaces {
  readonly findings: BlockFindings;
}

/** Undefined for what is no block, of which whoever reads it in its place says what is wrong. */
export function findInBlock(bytes: Uint8Array, check: BlockCheck): FoundBlock | undefined {
  const block = orUndefined(() => new RowsBlock(bytes, TABLE_LAYOUTS));
  if (block === undefined) return undefined;
  return { ...block.places, findings: findingsOf(block, check) };
}

function findingsOf(block: RowsBlock, check: BlockCheck): BlockFindings {
  const eventMs = new Float64Array(block.count);
  const effectiveMs = new Float64Array(block.count).fill(Number.NaN);
  const signed: number[] = [];
  const keyIds: Uint8Array[] = [];
  for (let number = 0; number < block.count; number += 1) {
    if (!isLookedInto(block, number, check.depth)) continue;
    const { times, keyId } = orUndefined(() => findInEntry(new BlockEntry(block, number), check)) ?? NOTHING;
    if (times !== undefined) {
      eventMs[number] = times.eventMs;
      effectiveMs[number] = times.effectiveMs;
    }
    if (keyId === undefined) continue;
    signed.push(number);
    keyIds.push(keyId);
  }
  const leafHashes = block.leafHashes(check.crypto);
  return { leafHashes, eventMs, effectiveMs, signed: Uint32Array.from(signed), keyIds: concatBytes(keyIds) };
}

function isLookedInto(block: RowsBlock, number: number, depth: Depth): boolean {
  return lookOf(block.idxOf(number), depth) === 'deep' && block.rowsOf(LEDGER, number) === 1;
}

interface FoundEntry {
  readonly times: Times | undefined;
  readonly keyId: Uint8Array | undefined;
}
const NOTHING: FoundEntry = { times: undefined, keyId: undefined };

function findInEntry(entry: BlockEntry, { crypto, mappings, signatures }: BlockCheck): FoundEntry {
  const row = entry.ledger[0] as LedgerRow;
  const times = usualTimes(entry, row, { crypto, mappings, previousEffectiveMs: undefined });
  const isSigned = (row.flags & ENTRY_FLAGS.signed) !== 0;
  const batch = isSigned ? (entry.payloads[0]?.batch ?? '') : '';
  return { times, keyId: batch === '' ? undefined : batchKeyId(row, batch, signatures) };
}

/** Anybody may have written the bytes: what cannot be read is told by whoever comes to it in its order. */
function orUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (isTriplineError(error, 'export_invalid')) return undefined;
    throw error;
  }
}
