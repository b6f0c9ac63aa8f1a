/** Body of `POST add-checkpoint` (c2sp.org/tlog-witness): the old size, a consistency proof, the new checkpoint. */
import { toBase64 } from '../bytes.ts';
import { parseCheckpoint, parseSize, type SignedCheckpoint } from './checkpoint.ts';
import { MAX_NOTE_CHARACTERS } from './note.ts';
import { parseHashes } from './proof.ts';

export const MAX_PROOF_LINES = 63;
export const MAX_REQUEST_BYTES = MAX_NOTE_CHARACTERS + MAX_PROOF_LINES * 45 + 64;
export const TLOG_SIZE_TYPE = 'text/x.tlog.size';

export interface AddCheckpoint {
  readonly oldSize: number;
  readonly proof: readonly Uint8Array[];
  /** A signed note. */
  readonly checkpoint: string;
}

export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  return `old ${oldSize}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`;
}

export interface ParsedAddCheckpoint {
  readonly oldSize: number;
  readonly proof: readonly Uint8Array[];
  readonly checkpoint: SignedCheckpoint;
}

export function parseAddCheckpoint(body: string): ParsedAddCheckpoint | undefined {
  const end = body.indexOf('\n\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = body.slice(0, end).split('\n');
  const oldSize = first.startsWith('old ') ? parseSize(first.slice('old '.length)) : undefined;
  const proof = parseHashes(lines, MAX_PROOF_LINES);
  const checkpoint = parseCheckpoint(body.slice(end + 2));
  if (oldSize === undefined || proof === undefined || checkpoint === undefined) return undefined;
  return { oldSize, proof, checkpoint };
}
