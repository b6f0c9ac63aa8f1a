/**
 * Ends the server of a tap that was killed with -9. Such a tap can end nothing itself, and SDK servers do not exit at the
 * end of their input, so they would stay for ever. A shell holds the other end of a pipe: when the tap dies in any way,
 * the pipe closes; a tap that ends its server itself writes a word first.
 */
import { spawn, type ChildProcess } from 'node:child_process';

/** EOF (the kernel's doing), grace, SIGTERM, grace, SIGKILL: as the tap does it. $1 = pid, $2 = grace in seconds. */
const SCRIPT =
  'read -r word && exit 0; sleep "$2"; kill -TERM "$1" 2>/dev/null || exit 0; sleep "$2"; kill -KILL "$1" 2>/dev/null';

export interface Watchdog {
  /** The server has ended: nothing is left to do. */
  dismiss(): void;
}

/** Watches over the server until dismissed. Where there is no POSIX shell (Windows) nothing watches. */
export function watchOver(server: ChildProcess, graceMs: number): Watchdog {
  if (process.platform === 'win32' || server.pid === undefined) return { dismiss: () => undefined };
  const args = ['-c', SCRIPT, 'tripline-watchdog', String(server.pid), String(Math.ceil(graceMs / 1000))];
  // A group of its own: a signal to the host's whole group must not take it along.
  const shell = spawn('/bin/sh', args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.on('error', () => undefined); // No shell: the server is then ended by the tap only.
  shell.stdin.on('error', () => undefined);
  shell.unref();
  return { dismiss: () => void shell.stdin.end('ended\n') };
}
