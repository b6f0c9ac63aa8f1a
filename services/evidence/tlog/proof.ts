/** Self-contained proof of inclusion (c2sp.org/tlog-proof@v1): index, path, checkpoint with its signatures. */
import { fromCanonicalBase64, HASH_BYTES, toBase64, type Sha256 } from '../bytes.ts';
import { verifyInclusion } from '../merkle.ts';
import { parseCheckpoint, parseSize, type SignedCheckpoint } from './checkpoint.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
/** A tree of 2^63 leaves. */
const MAX_PROOF_HASHES = 63;

export interface TlogProof {
  readonly index: number;
  /** Lowest sibling first. */
  readonly proof: readonly Uint8Array[];
  /** A signed note. */
  readonly checkpoint: string;
  /** Not authenticated by anything. */
  readonly extra?: Uint8Array;
}

export function formatTlogProof({ index, proof, checkpoint, extra }: TlogProof): string {
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${toBase64(extra)}`]),
    `index ${index}`,
    ...proof.map(toBase64),
  ];
  return `${lines.join('\n')}\n\n${checkpoint}`;
}

export interface ParsedTlogProof {
  readonly index: number;
  readonly proof: readonly Uint8Array[];
  readonly checkpoint: SignedCheckpoint;
  readonly extra: Uint8Array | undefined;
}

export function parseTlogProof(text: string): ParsedTlogProof | undefined {
  const end = text.indexOf('\n\n');
  const [header, ...lines] = text.slice(0, Math.max(end, 0)).split('\n');
  const checkpoint = parseCheckpoint(text.slice(end + 2));
  if (header !== HEADER || checkpoint === undefined) return undefined;
  const extra = lines[0]?.startsWith('extra ') === true ? fromCanonicalBase64(fieldOf('extra', lines)) : null;
  const index = parseSize(fieldOf('index', lines));
  const proof = parseHashes(lines, MAX_PROOF_HASHES);
  if (extra === undefined || index === undefined || proof === undefined) return undefined;
  return { index, proof, checkpoint, extra: extra ?? undefined };
}

/** Takes the first line; what is no such field reads as a value that nothing parses. */
function fieldOf(name: string, lines: string[]): string {
  const line = lines.shift() ?? '';
  return line.startsWith(`${name} `) ? line.slice(name.length + 1) : '-';
}

/** One hash in base64 a line; undefined where one is none or there are more than `max`. */
export function parseHashes(lines: readonly string[], max: number): Uint8Array[] | undefined {
  if (lines.length > max) return undefined;
  const hashes: Uint8Array[] = [];
  for (const line of lines) {
    const hash = fromCanonicalBase64(line);
    if (hash === undefined || hash.length !== HASH_BYTES) return undefined;
    hashes.push(hash);
  }
  return hashes;
}

/** True when the leaf is where the proof says; the checkpoint's signatures are not looked at. */
export function provesInclusion(parsed: ParsedTlogProof, leaf: Uint8Array, sha256: Sha256): boolean {
  const { index, proof, checkpoint } = parsed;
  const claim = { index: BigInt(index), size: BigInt(checkpoint.size), leafHash: leaf, proof };
  return verifyInclusion({ ...claim, root: checkpoint.root }, sha256);
}
