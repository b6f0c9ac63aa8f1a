/** Who a connection is: what the gate itself knows (token, verified certificate, address, process), never what a client says. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { recordableName } from '../draft.ts';
import { bootId, readProcess } from '../processes.ts';
import { randomHex } from '../random.ts';
import { sha256Hex } from '../recorder/chain.ts';
import { deriveSessionId, hostProcess } from '../session.ts';
import { peerProcess } from './peer-process.ts';

export interface PeerCertificate {
  readonly subject: string;
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string;
}

/** What is known of a TCP connection; worked out once, when it is first needed. */
export class Peer {
  readonly address: string;
  readonly certificate: PeerCertificate | undefined;
  /** Random; names this connection. */
  readonly id = randomHex(16);
  readonly #socket: Socket;
  readonly #hostName: string;
  #processSession: string | undefined;
  #looked = false;

  constructor(socket: Socket, hostName: string) {
    this.#socket = socket;
    this.#hostName = hostName;
    this.address = socket.remoteAddress ?? 'unknown';
    this.certificate = certificateOf(socket);
  }

  /** Session of the host process at the other end, as its taps derive it; undefined where it cannot be seen. */
  get processSession(): string | undefined {
    if (!this.#looked) this.#processSession = this.#lookForProcess();
    this.#looked = true;
    return this.#processSession;
  }

  #lookForProcess(): string | undefined {
    const pid = peerProcess(this.#socket);
    if (pid === undefined) return undefined;
    const host = hostProcess(pid, readProcess);
    if (host === undefined) return undefined;
    const origin = { hostName: this.#hostName, bootId: bootId(), process: host, parentPid: pid };
    return deriveSessionId(origin, sha256Hex);
  }
}

function certificateOf(socket: Socket): PeerCertificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject, fingerprint256 } = socket.getPeerCertificate();
  if (fingerprint256 === undefined) return undefined;
  return { subject: subjectText(subject), fingerprint: fingerprint256.replaceAll(':', '').toLowerCase() };
}

/** `CN=host-1,O=Example`: the attributes in the certificate's order. */
function subjectText(subject: object): string {
  const parts = Object.entries(subject).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${name}=${String(one)}`),
  );
  return recordableName(parts.join(','));
}

const peers = new WeakMap<Socket, Peer>();

export function peerOf(socket: Socket, hostName: string): Peer {
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const peer = new Peer(socket, hostName);
  peers.set(socket, peer);
  return peer;
}
