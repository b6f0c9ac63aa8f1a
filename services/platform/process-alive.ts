/** Whether a process of this machine still runs. */
import { readFileSync } from 'node:fs';

/** False also for one that has ended and that its parent has not taken note of: it holds nothing any more. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return processStat(pid)?.[0] !== 'Z';
}

/** Fields of /proc/PID/stat from the third (state) on, see proc(5); undefined where there is no such file. */
export function processStat(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 2 is the command in parentheses and may hold blanks: count from the last one.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
