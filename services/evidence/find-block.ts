/**
 * What can be told of a block of rows without those before it: where its rows lie, their leaf hashes, which entries hold
 * what their bytes give, which batch signatures hold. It only ever says yes. Whoever goes through the log in its order
 * takes these answers, looks himself into whatever has none, and joins them to what came before. Pure.
 */
import { isTriplineError } from '../../schemas/errors.ts';
import type { BatchSignatures } from './batch-signature.ts';
import { BlockEntry, LEDGER, type LedgerRow } from './block-entry.ts';
import { HASH_BYTES } from './bytes.ts';
import { lookOf, type Depth } from './depth.ts';
import { ENTRY_FLAGS } from './entry.ts';
import { RowsBlock, type BlockFindings, type BlockPlaces } from './rows-block.ts';
import { TABLE_LAYOUTS } from './table-layout.ts';
import { usualTimes } from './verify-block.ts';
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
  const eventMs = new Float64Array(block.count);
  const effectiveMs = new Float64Array(block.count).fill(Number.NaN);
  const signed: number[] = [];
  const keyIds: Uint8Array[] = [];
  for (let number = 0; number < block.count; number += 1) {
    if (lookOf(block.idxOf(number), check.depth) !== 'deep' || block.rowsOf(LEDGER, number) !== 1) continue;
    const found = orUndefined(() => findInEntry(new BlockEntry(block, number), check));
    eventMs[number] = found?.times?.eventMs ?? Number.NaN;
    effectiveMs[number] = found?.times?.effectiveMs ?? Number.NaN;
    if (found?.keyId === undefined) continue;
    signed.push(number);
    keyIds.push(found.keyId);
  }
  const ids = new Uint8Array(keyIds.length * HASH_BYTES);
  for (const [at, id] of keyIds.entries()) ids.set(id, at * HASH_BYTES);
  const leafHashes = block.leafHashes(check.crypto);
  const findings = { leafHashes, eventMs, effectiveMs, signed: Uint32Array.from(signed), keyIds: ids };
  return { ...block.places, findings };
}

function findInEntry(entry: BlockEntry, { crypto, mappings, signatures }: BlockCheck) {
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
