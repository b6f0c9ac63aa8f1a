/**
 * Exclusive use of the directory by one process. The owner is written inside an lmdb write transaction, which lmdb makes
 * exclusive across processes, so two that start at once cannot both win. An owner that died (kill -9) is told from one
 * that lives by process id and start time; this holds on one machine, not for a directory that machines share.
 */
import { readFileSync, rmSync } from 'node:fs';
import type { RootDatabase } from 'lmdb';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { replaceDurably } from './durable-files.ts';
import { isRunning, processStat } from './process-alive.ts';

/** Of a database in which nothing else has the key `owner`. */
type Meta = Pick<RootDatabase, 'get' | 'putSync' | 'removeSync' | 'transactionSync'>;

const OWNER_KEY = 'owner';

const zOwner = z.strictObject({
  pid: z.number().int(),
  /** Boot and start time where the system tells them, else empty: a process id is used again. */
  started: z.string(),
});
type Owner = z.infer<typeof zOwner>;

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

/**
 * Says beside the database who has taken it. Opening it waits for lmdb's lock, which an owner that was stopped in the midst
 * of a write (SIGSTOP, a frozen container) holds: whoever comes then is to be told, not to wait. It decides nothing else.
 */
export function announceOwner(file: string): void {
  replaceDurably(file, JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Owner));
}

/** Throws data_dir_locked while the owner that the file names lives. */
export function refuseAnnounced(file: string): void {
  const owner = announcedIn(file);
  if (owner !== undefined && isAlive(owner))
    throw new TriplineError('data_dir_locked', `Process ${owner.pid} uses the data directory.`);
}

export function withdrawOwner(file: string): void {
  rmSync(file, { force: true });
}

function announcedIn(file: string): Owner | undefined {
  try {
    return zOwner.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined; // None, or half of one: the database decides.
  }
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
