/** Processes of this machine, from /proc where there is one, else from ps. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ProcessInfo } from './session.ts';

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function fromProc(pid: number): ProcessInfo | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const commandLine = readText(`/proc/${pid}/cmdline`);
  if (stat === undefined || commandLine === undefined) return undefined;
  // proc(5): the name in parentheses may hold blanks and parentheses; fields are counted after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Ended, and its parent has not taken note yet.
  if (fields[0] === 'Z') return undefined;
  const parentPid = Number(fields[1]);
  const start = fields[19];
  if (!Number.isInteger(parentPid) || start === undefined) return undefined;
  return { pid, parentPid, start, argv: commandLine.split('\0').filter((part) => part !== '') };
}

function fromPs(pid: number): ProcessInfo | undefined {
  try {
    const args = ['-o', 'ppid=,lstart=,command=', '-p', String(pid)];
    const line = execFileSync('ps', args, { encoding: 'utf8', timeout: 2_000, stdio: 'pipe' }).trim();
    const words = line.split(/\s+/u);
    const parentPid = Number(words[0]);
    if (!Number.isInteger(parentPid)) return undefined;
    return { pid, parentPid, start: words.slice(1, 6).join(' '), argv: words.slice(6) };
  } catch {
    return undefined;
  }
}

/** What can be seen of a process; undefined when it is gone or hidden. */
export function readProcess(pid: number): ProcessInfo | undefined {
  if (process.platform === 'linux') return fromProc(pid);
  return process.platform === 'win32' ? undefined : fromPs(pid);
}

/** Id of this boot, '' where the system has none. */
export function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

/** Names the space in which a pid means something: machine and pid namespace. */
export function pidSpace(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}
