/** What a witness decides on one request (c2sp.org/tlog-witness, add-checkpoint), in the order of the specification. Pure. */
import { equalBytes, hashFromHex, toHex, type EvidenceCrypto } from '../evidence/bytes.ts';
import { emptyRoot, verifyConsistency } from '../evidence/merkle.ts';
import { noteNameOf } from '../evidence/origin.ts';
import type { ParsedAddCheckpoint } from '../evidence/tlog/add-checkpoint.ts';
import { checkNote, formatNote, type NoteKey } from '../evidence/tlog/note.ts';

/** The checkpoint that was cosigned last of one log. */
export interface Latest {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** A signed note, as the log sent it. */
  readonly note: string;
}

export type Decision =
  | { readonly kind: 'cosign'; readonly latest: Latest }
  | { readonly kind: 'unknown_log' }
  | { readonly kind: 'not_signed' }
  | { readonly kind: 'old_size_larger' }
  /** The log has to prove from this size. */
  | { readonly kind: 'other_size'; readonly size: number }
  /** Of the same size with another root, both signed by the log: proof of its misbehaviour. */
  | { readonly kind: 'root_differs'; readonly note: string }
  /** Perhaps the log forked, perhaps somebody else sent its checkpoint with a proof of his own. */
  | { readonly kind: 'proof_invalid'; readonly note: string };

/** Keys of the logs by key name. */
export type KnownLogs = ReadonlyMap<string, readonly NoteKey[]>;

/** Whether the log has signed: what anybody may send is not looked at further. */
export function checkSender(
  { checkpoint }: ParsedAddCheckpoint,
  logs: KnownLogs,
  crypto: EvidenceCrypto,
): 'signed' | 'unknown_log' | 'not_signed' {
  const keys = logs.get(noteNameOf(checkpoint.origin));
  if (keys === undefined) return 'unknown_log';
  return checkNote(checkpoint.note, keys, crypto).kind === 'signed' ? 'signed' : 'not_signed';
}

/** Of a request that the log has signed. */
export function decide(
  { oldSize, proof, checkpoint }: ParsedAddCheckpoint,
  latest: Latest | undefined,
  crypto: EvidenceCrypto,
): Decision {
  const { size, root, note } = checkpoint;
  if (oldSize > size) return { kind: 'old_size_larger' };
  const known = latest ?? { size: 0, root: toHex(emptyRoot(crypto.sha256)) };
  if (oldSize !== known.size) return { kind: 'other_size', size: known.size };
  const knownRoot = hashFromHex(known.root);
  const text = formatNote(note);
  if (oldSize === size && !equalBytes(knownRoot, root)) return { kind: 'root_differs', note: text };
  const sizes = { oldSize: BigInt(oldSize), newSize: BigInt(size) };
  const isExtension =
    oldSize === 0
      ? proof.length === 0
      : verifyConsistency({ ...sizes, oldRoot: knownRoot, newRoot: root, proof }, crypto.sha256);
  if (!isExtension) return { kind: 'proof_invalid', note: text };
  return { kind: 'cosign', latest: { size, root: toHex(root), note: text } };
}
