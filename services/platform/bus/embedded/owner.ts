/**
 * Exclusive use of the directory by one process. The owner is written inside an lmdb write transaction, which lmdb makes
 * exclusive across processes, so two that start at once cannot both win. An owner that died (kill -9) is told from one
 * that lives by process id and start time; this holds on one machine, not for a directory that machines share.
 */
import { readFileSync } from 'node:fs';
import type { Database } from 'lmdb';
import { TriplineError } from '../../../../schemas/errors.ts';

const OWNER_KEY = 'owner';

interface Owner {
  readonly pid: number;
  /** Boot and start time where the system tells them, else empty: a process id is used again. */
  readonly started: string;
}

/** Takes the directory. Throws data_dir_locked while its owner lives. */
export function takeOwnership(meta: Database<unknown, string>): void {
  const own: Owner = { pid: process.pid, started: startOf(process.pid) };
  const holder = meta.transactionSync(() => {
    const found = meta.get(OWNER_KEY) as Owner | undefined;
    if (found !== undefined && isAlive(found)) return found;
    meta.putSync(OWNER_KEY, own);
    return undefined;
  });
  if (holder !== undefined)
    throw new TriplineError('data_dir_locked', `Process ${holder.pid} uses the data directory.`);
}

export function giveUpOwnership(meta: Database<unknown, string>): void {
  meta.removeSync(OWNER_KEY);
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startOf(owner.pid) === owner.started;
}

/** Linux: boot id and start time of the process in ticks since boot (proc(5), field 22 of stat). Elsewhere empty. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 2 is the command in parentheses and may hold blanks: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${fields[19] ?? ''}`;
  } catch {
    return '';
  }
}
