/**
 * Payload rows under the keys of their subjects. The manifest's `rowsHash` stays that of the lines in the clear: what a
 * batch was cut to does not depend on keys, and hashes of the ledger never see them. Sealing is a function of lines,
 * places and keys, so that a batch that is written again is the same rows.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { toHex, type Sha256 } from '../evidence/bytes.ts';
import { RowWriter } from '../evidence/row-binary.ts';
import { IN_THE_CLEAR, type SubjectKey, type SubjectKeys } from '../platform/payloads/keys.ts';
import { logKey, sealLines } from '../platform/payloads/seal.ts';
import type { BatchOutcome, KeepRow, PayloadLine } from './outcome.ts';
import { writeSealedPayloadRow } from './tables.ts';

/** Blocks after which others of the process have their turn. */
const BLOCKS_A_TURN = 64;
const NO_BYTES = new Uint8Array(0);

type Sealable = Pick<BatchOutcome, 'digests' | 'lines' | 'tables'>;

/** `keep`: the rows that are written; absent: all. A block is sealed whole, and for blocks without such a row no key is asked. */
export async function sealPayloads<Outcome extends Sealable>(
  outcome: Outcome,
  {
    keys,
    sha256,
    keep,
  }: { readonly keys: SubjectKeys; readonly sha256: Sha256; readonly keep?: KeepRow | undefined },
): Promise<Outcome> {
  const keeps = ({ at }: PayloadLine): boolean => keep?.('payloads', at) ?? true;
  const wanted = [...cutBlocks(outcome.lines)].filter((block) => block.some(keeps));
  const subjects = new Set(wanted.flatMap(([first]) => first?.subject ?? []));
  const obtained = subjects.size === 0 ? new Map<string, SubjectKey>() : await keys.obtain([...subjects]);
  const payloads = new RowWriter(64 * 1024 + Math.ceil(outcome.tables.payloads.bytes().length / 2));
  const logKeys = new Map<string, Uint8Array>();
  let blocks = 0;
  for (const block of wanted) {
    writeBlock(payloads, block, { obtained, logKeys, keeps });
    blocks += 1;
    if (blocks % BLOCKS_A_TURN === 0) await nextTurn();
  }
  const digests = { ...outcome.digests, payloads: toHex(sha256(payloads.bytes())) };
  return { ...outcome, tables: { ...outcome.tables, payloads }, digests };
}

/** Neighbours of one record and one subject: a block never reaches over a record, wherever batches are cut. */
function* cutBlocks(lines: readonly PayloadLine[]): Generator<readonly PayloadLine[]> {
  let block: PayloadLine[] = [];
  for (const line of lines) {
    const [first] = block;
    if (first !== undefined && !isSameBlock(first, line)) {
      yield block;
      block = [];
    }
    block.push(line);
  }
  if (block.length > 0) yield block;
}

function isSameBlock(a: PayloadLine, b: PayloadLine): boolean {
  return (
    a.subject !== undefined &&
    a.subject === b.subject &&
    a.at.offset === b.at.offset &&
    a.at.logId === b.at.logId
  );
}

interface Keyring {
  readonly obtained: ReadonlyMap<string, SubjectKey>;
  /** Derived ones, by subject and log. */
  readonly logKeys: Map<string, Uint8Array>;
  keeps(line: PayloadLine): boolean;
}

function writeBlock(out: RowWriter, block: readonly PayloadLine[], keyring: Keyring): void {
  const [first] = block;
  if (first === undefined) return;
  if (first.subject === undefined) {
    for (const { at, prev, bytes, batch } of block.filter((one) => keyring.keeps(one)))
      writeSealedPayloadRow(out, at, {
        prev,
        bytes,
        batch,
        subject: IN_THE_CLEAR,
        block: 0,
        place: 0,
        size: bytes.length,
      });
    return;
  }
  const { number: subject, key } = obtainedOf(first.subject, keyring);
  const logId = toHex(first.at.logId);
  const name = `${subject} ${logId}`;
  const derived = keyring.logKeys.get(name) ?? logKey(key, logId);
  keyring.logKeys.set(name, derived);
  const { index } = first.at;
  const sealed = sealLines(
    block.map(({ bytes }) => bytes),
    { logId, index, subject },
    derived,
  );
  block.forEach((one, place) => {
    if (!keyring.keeps(one)) return;
    const { at, prev, bytes: line, batch } = one;
    const bytes = place === 0 ? sealed : NO_BYTES;
    writeSealedPayloadRow(out, at, { prev, bytes, batch, subject, block: index, place, size: line.length });
  });
}

function obtainedOf(name: string, { obtained }: Keyring): SubjectKey {
  const found = obtained.get(name);
  if (found === undefined) throw new RangeError('the keys answered without one of the subjects');
  return found;
}
