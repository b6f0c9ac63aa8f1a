/**
 * Ours and Node's own reading of the same bytes, for properties of any number of runs: what we take for whole, Node takes
 * for the same. The other way round is not asked: ours may refuse more.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FamiliarHeads } from '../../../services/capture/gate/wire/familiar-heads.ts';
import { readPlainRequest } from '../../../services/capture/gate/wire/request-head.ts';
import { UpstreamPool } from '../../../services/capture/gate/wire/upstream-pool.ts';
import { answerBytes, cut, requestBytes } from './http-bytes.ts';
import {
  answerReadByNode,
  connectionPair,
  pairsOf,
  quiet,
  requestsReadByNode,
  writePieces,
  type ReadAnswer,
  type ReadRequest,
} from './node-http.ts';

/** Content-Length stands apart in ours, and nothing depends on how it was written. */
const withoutLength = <T extends ReadRequest | ReadAnswer>(read: T): T => ({
  ...read,
  headers: read.headers.filter(([name]) => name !== 'content-length'),
});

interface PlainRequests {
  readonly requests: readonly ReadRequest[];
  /** Index behind the last one. */
  readonly end: number;
}

/** As a connection reads them: one behind the other, until one is not plain. */
function plainRequests(bytes: Buffer): PlainRequests {
  const heads = new FamiliarHeads();
  const requests: ReadRequest[] = [];
  let at = 0;
  for (;;) {
    const outcome = readPlainRequest(bytes.subarray(at), heads);
    if (outcome.kind !== 'request') return { requests, end: at };
    const { method, target, rawHeaders, headers, body } = outcome.request;
    const pairs = pairsOf(rawHeaders);
    assert.deepEqual({ ...headers }, Object.fromEntries(pairs));
    requests.push({ method, target, headers: pairs, body: body.toString('latin1') });
    at += outcome.end;
  }
}

const MARKER = Buffer.from('DELETE /marker HTTP/1.1\r\nHost: m\r\n\r\n');

/** Holds that Node's server reads the plain requests of random bytes alike, and what follows them. Answers how many there were. */
export async function comparePlainRequests(numRuns: number): Promise<number> {
  let count = 0;
  const property = fc.asyncProperty(requestBytes, async (bytes) => {
    const { requests, end } = plainRequests(bytes);
    if (requests.length === 0) return;
    count += requests.length;
    const read = await requestsReadByNode([Buffer.concat([bytes.subarray(0, end), MARKER])]);
    assert.equal(read.isRefused, false);
    const marker = read.requests.at(-1);
    assert.equal(marker?.target, '/marker');
    assert.deepEqual(read.requests.slice(0, -1).map(withoutLength), requests);
  });
  await fc.assert(property, { numRuns });
  return count;
}

/** What the pool tells of an answer; undefined where it does not come whole. */
async function answerOfPool(pieces: readonly Buffer[]): Promise<ReadAnswer | undefined> {
  const [own, server] = connectionPair();
  server.resume();
  server.on('error', () => undefined);
  const pool = new UpstreamPool({ connect: () => own, idleMs: 60_000, nowMs: () => 0 });
  const body: Buffer[] = [];
  let whole: ReadAnswer | undefined;
  pool.ask([Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')], {
    onFailed: () => undefined,
    onAnswer: (answer) => {
      const { status, rawHeaders, date } = answer;
      const dated = date === undefined ? [] : [['date', date] as const];
      answer.readTo({
        onPiece: (piece) => body.push(Buffer.from(piece)),
        onBrokenOff: () => undefined,
        onEnd: () => {
          const headers = [...dated, ...pairsOf(rawHeaders)];
          whole = { status, headers, body: Buffer.concat(body).toString('latin1') };
        },
      });
    },
  });
  await quiet();
  await writePieces(server, pieces);
  server.end();
  await quiet();
  pool.close();
  return whole;
}

const isDate = ([name]: readonly [string, string]): boolean => name === 'date';

/** As ours tell them: the date first. */
const dateFirst = (read: ReadAnswer): ReadAnswer => ({
  ...read,
  headers: [...read.headers.filter(isDate), ...read.headers.filter((pair) => !isDate(pair))],
});

/** Whitespace in the extensions of a chunk: to be put up with (RFC 9112 §7.1.1), and refused by Node. */
const BAD_WHITESPACE = /\r\n[0-9A-Fa-f]+[\t ]*;[^\r\n]*\r\n/u;

/** Holds that Node's client reads alike what the pool tells for whole of random bytes. Answers how many that were. */
export async function compareAnswers(numRuns: number): Promise<number> {
  let count = 0;
  const property = fc.asyncProperty(cut(answerBytes), async (pieces) => {
    const whole = await answerOfPool(pieces);
    if (whole === undefined) return;
    const read = await answerReadByNode(pieces);
    if (read === undefined && BAD_WHITESPACE.test(Buffer.concat(pieces).toString('latin1'))) return;
    count++;
    assert.deepEqual(whole, read && dateFirst(withoutLength(read)));
  });
  await fc.assert(property, { numRuns });
  return count;
}
