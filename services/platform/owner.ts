/**
 * Exclusive use of the directory by one process. The owner is written inside an lmdb write transaction, which lmdb makes
 * exclusive across processes, so two that start at once cannot both win. An owner that died (kill -9) is told from one
 * that lives by process id and start time; this holds on one machine, not for a directory that machines share.
 */
import { readFileSync } from 'node:fs';
import type { RootDatabase } from 'lmdb';
import { TriplineError } from '../../schemas/errors.ts';
import { isRunning, processStat } from './process-alive.ts';

/** Of a database in which nothing else has the key `owner`. */
type Meta = Pick<RootDatabase, 'get' | 'putSync' | 'removeSync' | 'transactionSync'>;

const OWNER_KEY = 'owner';

interface Owner {
  readonly pid: number;
  /** Boot and start time where the system tells them, else empty: a process id is used again. */
  readonly started: string;
}

/** Takes the directory. Throws data_dir_locked while its owner lives. */
export function takeOwnership(meta: Meta): void {
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

export function giveUpOwnership(meta: Meta): void {
  meta.removeSync(OWNER_KEY);
}

function isAlive(owner: Owner): boolean {
  return isRunning(owner.pid) && startOf(owner.pid) === owner.started;
}

/** Linux: boot id and start time of the process in ticks since boot (field 22 of its stat). Elsewhere empty. */
function startOf(pid: number): string {
  const started = processStat(pid)?.[19];
  if (started === undefined) return '';
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${started}`;
  } catch {
    return '';
  }
}
