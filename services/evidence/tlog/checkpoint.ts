/** Checkpoints (c2sp.org/tlog-checkpoint): origin, size and root of a log as the text of a signed note. */
import { fromCanonicalBase64, HASH_BYTES, toBase64 } from '../bytes.ts';
import { parseNote, type Note } from './note.ts';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** Text of a checkpoint without extension lines: what is put in them no monitor audits. */
export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${toBase64(root)}\n`;
}

/** A decimal as the formats of tlogs write it: no sign, no leading zero, exact in a number. */
export function parseSize(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) return undefined;
  const size = Number(text);
  return Number.isSafeInteger(size) ? size : undefined;
}

/** Undefined for what is no checkpoint. Extension lines are taken and ignored. */
export function parseCheckpointText(text: string): Checkpoint | undefined {
  if (!text.endsWith('\n')) return undefined;
  const lines = text.slice(0, -1).split('\n');
  if (lines.length < 3 || lines.includes('')) return undefined;
  const [origin = '', sizeText = '', rootText = ''] = lines;
  const size = parseSize(sizeText);
  const root = fromCanonicalBase64(rootText);
  if (size === undefined || root === undefined || root.length !== HASH_BYTES) return undefined;
  return { origin, size, root };
}

export interface SignedCheckpoint extends Checkpoint {
  readonly note: Note;
}

/** The checkpoint of a note, whose signatures are not checked here. */
export function parseCheckpoint(note: string): SignedCheckpoint | undefined {
  const parsed = parseNote(note);
  const checkpoint = parsed === undefined ? undefined : parseCheckpointText(parsed.text);
  return parsed === undefined || checkpoint === undefined ? undefined : { ...checkpoint, note: parsed };
}
