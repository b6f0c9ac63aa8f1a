/**
 * Which process of this machine holds the other end of a loopback connection (Linux: /proc/net/tcp names the socket's
 * inode, /proc/PID/fd who holds it). The kernel says it, not the client: a host behind the gate is then the same session
 * as its taps. Elsewhere, and for processes of other users, nobody is found.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';

interface TcpEnds {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** Processes that were found before are looked at first: a host opens many connections. */
const recent: number[] = [];
const MAX_RECENT = 32;

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/** `0100007F:1F90`: proc(5), address as 32-bit words in the machine's byte order, port in hex. */
function procAddress(address: string, port: number): string | undefined {
  const portText = port.toString(16).toUpperCase().padStart(4, '0');
  const v4 = /^(?:::ffff:)?(\d+)\.(\d+)\.(\d+)\.(\d+)$/u.exec(address);
  const hex = (part: string | undefined): string => Number(part).toString(16).toUpperCase().padStart(2, '0');
  if (v4 !== null) {
    const word = `${hex(v4[4])}${hex(v4[3])}${hex(v4[2])}${hex(v4[1])}`;
    return address.startsWith('::ffff:')
      ? `0000000000000000FFFF0000${word}:${portText}`
      : `${word}:${portText}`;
  }
  return address === '::1' ? `00000000000000000000000001000000:${portText}` : undefined;
}

function inodeOf(ends: TcpEnds): string | undefined {
  // The client's own entry has our ends the other way round.
  for (const [file, mapped] of [
    ['/proc/net/tcp', false],
    ['/proc/net/tcp6', true],
  ] as const) {
    const plain = (address: string): string =>
      mapped && !address.includes(':')
        ? `::ffff:${address}`
        : mapped
          ? address
          : address.replace('::ffff:', '');
    const near = procAddress(plain(ends.remoteAddress), ends.remotePort);
    const far = procAddress(plain(ends.localAddress), ends.localPort);
    if (near === undefined || far === undefined) continue;
    const line = readText(file)
      .split('\n')
      .find((row) => row.includes(` ${near} ${far} `));
    const inode = line?.trim().split(/\s+/u)[9];
    if (inode !== undefined && inode !== '0') return inode;
  }
  return undefined;
}

function holdsSocket(pid: number, target: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === target;
      } catch {
        return false; // Closed meanwhile.
      }
    });
  } catch {
    return false; // Gone, or another user's.
  }
}

function processIds(): readonly number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/u.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function remember(pid: number): number {
  const at = recent.indexOf(pid);
  if (at !== -1) recent.splice(at, 1);
  recent.unshift(pid);
  recent.length = Math.min(recent.length, MAX_RECENT);
  return pid;
}

export function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./u.test(address ?? '');
}

/** Process id of the client behind `socket`; undefined where it cannot be seen. Synchronous; asked once a connection. */
export function peerProcess(socket: Socket): number | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (process.platform !== 'linux' || !isLoopback(remoteAddress)) return undefined;
  if (localAddress === undefined || localPort === undefined) return undefined;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  const inode = inodeOf({ localAddress, localPort, remoteAddress, remotePort });
  if (inode === undefined) return undefined;
  const target = `socket:[${inode}]`;
  const known = recent.find((pid) => holdsSocket(pid, target));
  const pid = known ?? processIds().findLast((candidate) => holdsSocket(candidate, target));
  return pid === undefined ? undefined : remember(pid);
}
