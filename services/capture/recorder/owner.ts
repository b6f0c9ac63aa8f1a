/** Who writes a spooled stream: written into the name of its directory, so that a rename moves the ownership. */
import { sha256Hex } from './chain.ts';
import type { ReadProcess } from '../session.ts';

export interface ProcessIdentity {
  readonly pid: number;
  readonly start: string;
  readonly bootId: string;
  readonly pidSpace: string;
}

const short = (text: string): string => sha256Hex(new TextEncoder().encode(text)).slice(0, 8);

/** `<pid>-<start>-<boot>-<pid space>`; letters, digits and dashes only. */
export function ownerTag(owner: ProcessIdentity): string {
  return [owner.pid, short(owner.start), short(owner.bootId), short(owner.pidSpace)].join('-');
}

const DIRECTORY = /^([0-9a-f]{32})@(\d{1,10})-([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})$/u;

export type Ownership = 'alive' | 'dead' | 'elsewhere' | 'not_ours';

/**
 * Whether the owner of a spool directory still runs. `elsewhere`: its pid means nothing here (another machine or
 * container shares the directory), so nobody here may take it.
 */
export function ownershipOf(
  directory: string,
  here: { readonly bootId: string; readonly pidSpace: string; readonly readProcess: ReadProcess },
): { readonly kind: Ownership; readonly stream: string } {
  const [, stream = '', pid, start, boot, space] = DIRECTORY.exec(directory) ?? [];
  if (stream === '') return { kind: 'not_ours', stream };
  if (space !== short(here.pidSpace)) return { kind: 'elsewhere', stream };
  if (boot !== short(here.bootId)) return { kind: 'dead', stream };
  const running = here.readProcess(Number(pid));
  return { kind: running !== undefined && short(running.start) === start ? 'alive' : 'dead', stream };
}
