/** A pool of connections to a server in this process, and what is told of each request. */
import type { Socket } from 'node:net';
import type { UpstreamAnswer } from '../../../services/capture/gate/wire/upstream-answer.ts';
import { UpstreamPool, type Asked } from '../../../services/capture/gate/wire/upstream-pool.ts';
import { connectionPair, quiet } from './node-http.ts';

export const IDLE_MS = 4_000;
export const REQUEST = [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')];
export const answerOf = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** What was told of one request: status and body, then how it ended. */
export interface Told {
  readonly asked: Asked;
  readonly log: string[];
  readonly answers: UpstreamAnswer[];
}

export class PoolSite {
  /** The servers' ends, in the order of their connections. */
  readonly servers: Socket[] = [];
  readonly #ownEnds: Socket[] = [];
  nowMs = 0;
  readonly pool = new UpstreamPool({
    connect: () => {
      const [own, server] = connectionPair();
      server.resume();
      server.on('error', () => undefined);
      this.servers.push(server);
      this.#ownEnds.push(own);
      return own;
    },
    idleMs: IDLE_MS,
    nowMs: () => this.nowMs,
  });

  ask(message: readonly Uint8Array[] = REQUEST, onAnswer?: () => void): Told {
    const log: string[] = [];
    const answers: UpstreamAnswer[] = [];
    const asked = this.pool.ask(message, {
      onSent: () => log.push('sent'),
      onAnswer: (answer) => {
        answers.push(answer);
        log.push(String(answer.status));
        answer.readTo({
          onPiece: (piece) => log.push(piece.toString('latin1')),
          onEnd: () => log.push('end'),
          onBrokenOff: () => log.push('broken off'),
        });
        onAnswer?.();
      },
      onFailed: (code) => log.push(code),
    });
    return { asked, log, answers };
  }

  async answered(text: string, server = this.servers.at(-1)): Promise<void> {
    await quiet();
    server?.write(Buffer.from(text, 'latin1'));
    await quiet();
  }

  /** As the system tells of a peer that is no more. */
  async reset(at: number): Promise<void> {
    this.#ownEnds[at]?.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
    await quiet();
  }

  isOpen(at: number): boolean {
    return this.#ownEnds[at]?.destroyed === false;
  }
}
