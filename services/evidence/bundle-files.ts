/**
 * What a bundle holds as files that other tools read: C2SP checkpoints, tiles and proofs. Everything follows from the
 * lines of the bundle, which is what `verify` reads; of these files it checks that they say the same.
 *
 *   checkpoint                       newest checkpoint of the root log, with cosignatures
 *   tile/...                         tiles of the root log (bundles of everything)
 *   not-before/SHA256                checkpoints that COVERAGE leaves name
 *   tsr/SIZE.tsq .tsr .note          RFC 3161: what was asked, the answer, and the checkpoint that was stamped
 *   heads/LOG.tlog-proof             the newest head of a log in the root log
 *   logs/LOG/checkpoint              that head as a signed note
 *   logs/LOG/INDEX.tlog-proof        an entry in its log (bundles of a part)
 *   payload/LOG/INDEX                bytes of an entry
 *   keys/KEY_ID                      public keys, base64; a key to trust comes another way
 */
import {
  isRootLine,
  type BundleLine,
  type BundleRootHead,
  type BundleRootStamp,
  type BundleRows,
  type RootBundleLine,
} from './bundle.ts';
import { fromBase64, hashFromHex, toHex, utf8, type Sha256 } from './bytes.ts';
import { RootTiles } from './tlog/all-tiles.ts';
import { parseCheckpoint } from './tlog/checkpoint.ts';
import { formatTlogProof } from './tlog/proof.ts';
import { decodeBundle } from './tlog/tiles.ts';
import { encodeRow } from './verify-rows.ts';

/** Entries beyond have no file of their own: their proofs are in the bundle. */
const MAX_PROOFS = 100_000;

/** Path, made of hashes and numbers alone whatever the bundle holds, and content. */
export type BundleFile = readonly [path: string, content: Uint8Array];

export class BundleFiles {
  readonly #sha256: Sha256;
  readonly #notes = new Map<number, string>();
  readonly #heads = new Map<string, string>();
  #tiles: RootTiles | undefined;
  #log = '';
  #proofs = 0;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /** What follows from the next line. */
  *take(line: BundleLine): Generator<BundleFile> {
    if (isRootLine(line)) return yield* this.#rootLine(line);
    if (line.type === 'log') this.#log = line.logId;
    if (line.type === 'rows') yield* this.#rows(line);
    if (line.type !== 'header') return;
    for (const { keyId, publicKey } of line.keys) yield [`keys/${keyId}`, utf8(`${publicKey}\n`)];
  }

  *#rootLine(line: RootBundleLine): Generator<BundleFile> {
    switch (line.type) {
      case 'root':
        return yield* this.#root(line.checkpoint, line.cosigned);
      case 'root_note':
        yield [`not-before/${toHex(this.#sha256(utf8(line.note)))}`, utf8(line.note)];
        return;
      case 'root_stamp':
        return yield* stampFiles(line);
      case 'root_entries':
        return this.#entries(line.bundle);
      case 'root_head':
        return yield* this.#head(line);
    }
  }

  /** Tiles, when all leaves are there. */
  *finish(): Generator<BundleFile> {
    yield* this.#tiles?.files() ?? [];
  }

  *#root(checkpoint: string | null, cosigned: string | null): Generator<BundleFile> {
    for (const note of [checkpoint, cosigned]) {
      const size = note === null ? undefined : parseCheckpoint(note)?.size;
      if (note !== null && size !== undefined) this.#notes.set(size, note);
    }
    const best = cosigned ?? checkpoint;
    if (best !== null) yield ['checkpoint', utf8(best)];
  }

  #entries(bundle: string): void {
    this.#tiles ??= new RootTiles(this.#sha256);
    for (const leaf of decodeBundle(fromBase64(bundle) ?? new Uint8Array(0)) ?? []) this.#tiles.append(leaf);
  }

  *#head({ logId, index, size, leaf, proof, note }: BundleRootHead): Generator<BundleFile> {
    const checkpoint = this.#notes.get(size);
    const extra = fromBase64(leaf);
    if (checkpoint === undefined || extra === undefined) return;
    const text = formatTlogProof({ index, proof: proof.map(hashFromHex), checkpoint, extra });
    yield [`heads/${logId}.tlog-proof`, utf8(text)];
    if (note === undefined) return;
    this.#heads.set(logId, note);
    yield [`logs/${logId}/checkpoint`, utf8(note)];
  }

  *#rows(line: BundleRows): Generator<BundleFile> {
    const log = this.#log;
    const { idx, payloads, proof } = line;
    const bytes = fromBase64(payloads[0]?.bytes ?? '');
    if (payloads.length === 1 && bytes !== undefined) yield [`payload/${log}/${idx}`, bytes];
    const [row] = line.ledger;
    const checkpoint = this.#heads.get(log);
    if (proof === undefined || row === undefined || checkpoint === undefined) return;
    if (this.#proofs === MAX_PROOFS || !isWritable(row)) return;
    const extra = encodeRow(row, idx, hashFromHex(row.prev_leaf_hash));
    this.#proofs += 1;
    const text = formatTlogProof({ index: idx, proof: proof.map(hashFromHex), checkpoint, extra });
    yield [`logs/${log}/${idx}.tlog-proof`, utf8(text)];
  }
}

function* stampFiles({ note, query, response }: BundleRootStamp): Generator<BundleFile> {
  const size = parseCheckpoint(note)?.size;
  if (size === undefined) return;
  yield [`tsr/${size}.note`, utf8(note)];
  yield [`tsr/${size}.tsq`, fromBase64(query) ?? new Uint8Array(0)];
  yield [`tsr/${size}.tsr`, fromBase64(response) ?? new Uint8Array(0)];
}

/** Numbers that no entry can have are for the verifier to name. */
const isWritable = (row: BundleRows['ledger'][number]): boolean =>
  [row.offset, row.append_ms, row.seq].every((value) => Number.isSafeInteger(value));
