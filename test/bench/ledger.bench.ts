/**
 * The ledger alone: lines to signed entries in a file, with no bus and no tables, beside the same bytes written without
 * any of it; and how large its proofs are.
 */
import { generateKeyPairSync } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TOPICS } from '../../schemas/topics.ts';
import { concatBytes, toHex, ZERO_HASH } from '../../services/evidence/bytes.ts';
import { encodeEntry, ENTRY_BYTES, ENTRY_TYPES, entryLeafHash } from '../../services/evidence/entry.ts';
import { eventHash } from '../../services/evidence/event-hash.ts';
import { headsMessage } from '../../services/evidence/heads.ts';
import { CompactRange, consistencySpans, inclusionSpans } from '../../services/evidence/merkle.ts';
import { logId, logOrigin, originLeafHash, rootOrigin } from '../../services/evidence/origin.ts';
import { checkpointText } from '../../services/evidence/tlog/checkpoint.ts';
import { cosign, formatNote, noteKey, NOTE_KEY_TYPES, signNote } from '../../services/evidence/tlog/note.ts';
import { formatTlogProof } from '../../services/evidence/tlog/proof.ts';
import { ed25519Sign, rawPublicKey, sha256 } from '../../services/platform/ledger/crypto.ts';
import { cpuMs, median, result, wallMs, type Bench, type BenchResult } from './bench.ts';
import { hexOf, hostLine } from './host-lines.ts';
import { temporaryDir } from './place.ts';

const EVENTS = 100_000;
export const EVENTS_PER_BATCH = 1000;
const EVENTS_PER_STREAM = 50;
/** Of which the first warms up. */
const RUNS = 6;
const START_MS = Date.UTC(2026, 10, 26);

export interface Line {
  readonly stream: Uint8Array;
  readonly seq: number;
  readonly line: Uint8Array;
}

/** Lines as real hosts send them, in order. */
export function hostLines(count: number): Line[] {
  return Array.from({ length: count }, (_, at) => {
    const stream = hexOf(`s${Math.floor(at / EVENTS_PER_STREAM)}`).slice(0, 32);
    const seq = at % EVENTS_PER_STREAM;
    return { stream: Buffer.from(stream, 'hex'), seq, line: Buffer.from(hostLine(stream, seq)) };
  });
}

/** A log of one tenant: the chain of each stream, the chain and tree of entries, signed heads. */
class SignedLog {
  readonly #origin = logOrigin(
    { deployment: 'bench', tenant: 'acme', topic: TOPICS.toolcalls.name, partition: 0 },
    sha256,
  );
  readonly #tree = new CompactRange(0, sha256);
  readonly #key = generateKeyPairSync('ed25519').privateKey;
  #eventHash: Uint8Array = ZERO_HASH;
  #leaf = originLeafHash(this.#origin, sha256);

  /** Bytes of a batch: entries, their lines, and the signature over the head after them. */
  append(batch: readonly Line[]): Uint8Array[] {
    const parts: Uint8Array[] = [];
    for (const { stream, seq, line } of batch) {
      const prev = seq === 0 ? ZERO_HASH : this.#eventHash;
      this.#eventHash = eventHash({ stream, seq, prev, line }, sha256);
      const entry = {
        type: ENTRY_TYPES.event,
        index: this.#tree.end,
        prevLeafHash: this.#leaf,
        appendMs: START_MS,
        offset: this.#tree.end,
        line: 0,
        stream,
        seq,
        eventHash: this.#eventHash,
        keyId: ZERO_HASH,
        flags: 0,
      };
      this.#leaf = entryLeafHash(entry, sha256);
      this.#tree.append(this.#leaf);
      parts.push(encodeEntry(entry), line);
    }
    parts.push(ed25519Sign(this.#key, this.#head()));
    return parts;
  }

  #head(): Uint8Array {
    const head = { root: toHex(this.#tree.root()), lastLeafHash: toHex(this.#leaf), size: this.#tree.end };
    return headsMessage([{ logId: toHex(logId(this.#origin, sha256)), ...head }]);
  }
}

/** Milliseconds that it takes when each batch is on the disk before the next one is made. */
async function appended(file: string, all: readonly Line[], bytesOf: (batch: readonly Line[]) => Uint8Array) {
  const fd = openSync(file, 'w');
  const append = (): void => {
    for (let from = 0; from < all.length; from += EVENTS_PER_BATCH) {
      writeSync(fd, bytesOf(all.slice(from, from + EVENTS_PER_BATCH)));
      fdatasyncSync(fd);
    }
  };
  try {
    let cpu = 0;
    const wall = await wallMs(async () => {
      cpu = await cpuMs(append);
    });
    return { wall, cpu };
  } finally {
    closeSync(fd);
  }
}

type Cost = Awaited<ReturnType<typeof appended>>;

/** A new log in `file`. */
export function appendedSigned(file: string, all: readonly Line[]): Promise<Cost> {
  const log = new SignedLog();
  return appended(file, all, (batch) => concatBytes(log.append(batch)));
}

async function runAppend(): Promise<readonly BenchResult[]> {
  const { dir, remove } = temporaryDir();
  const all = hostLines(EVENTS);
  const entry = new Uint8Array(ENTRY_BYTES);
  const plain = (batch: readonly Line[]) => concatBytes(batch.flatMap(({ line }) => [entry, line]));
  const ours: Cost[] = [];
  const bare: Cost[] = [];
  try {
    for (let turn = 0; turn < RUNS; turn += 1) {
      ours.push(await appendedSigned(join(dir, 'ours'), all));
      bare.push(await appended(join(dir, 'bare'), all, plain));
    }
  } finally {
    remove();
  }
  const rate = (costs: readonly Cost[], of: keyof Cost): number =>
    EVENTS / (median(costs.slice(1).map((cost) => cost[of])) / 1000);
  const one = (name: string, of: keyof Cost, note: string): BenchResult =>
    result(name, { value: rate(ours, of), baseline: rate(bare, of), unit: 'entries/s' }, note);
  const baseline = 'baseline: write and fdatasync of as many bytes';
  return [
    one(
      'append_signed',
      'wall',
      `${EVENTS_PER_BATCH} events of 830 B a signature and fdatasync; ${baseline}`,
    ),
    one('append_signed_of_one_core', 'cpu', `the same, by processor time; ${baseline}`),
  ];
}

export const appendSigned: Bench = {
  name: 'append_signed',
  about: 'chain, leaf hashes, one signature a batch, fdatasync; no tables',
  run: runAppend,
};

const WITNESSES = ['w1.example', 'w2.example'];

/** As the service makes it, with the cosignatures of two witnesses. */
function cosignedCheckpoint(size: number): string {
  const key = (name: string, type: (typeof NOTE_KEY_TYPES)[keyof typeof NOTE_KEY_TYPES]) => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const sign = (message: Uint8Array): Uint8Array => ed25519Sign(privateKey, message);
    return { key: noteKey(name, type, rawPublicKey(privateKey), sha256), sign };
  };
  const origin = rootOrigin('local');
  const log = key(origin, NOTE_KEY_TYPES.ed25519);
  const text = checkpointText({ origin, size, root: ZERO_HASH });
  const cosignatures = WITNESSES.map((name) =>
    cosign(text, START_MS / 1000, key(name, NOTE_KEY_TYPES.cosignature)),
  );
  return formatNote({ text, signatures: [signNote(text, log.key, log.sign), ...cosignatures] });
}

/** The longest of their kind: the first leaf has the most levels above it, and an odd size brings its last leaf along. */
function proofSizes(size: number): BenchResult[] {
  const index = 0;
  const proof = inclusionSpans(index, size).map(() => ZERO_HASH);
  const consistency = consistencySpans(3, size).length;
  const checkpoint = cosignedCheckpoint(size);
  const bytes = (name: string, value: number, note: string): BenchResult =>
    result(`proof_bytes_${name}_${size}`, { value, baseline: null, unit: 'B' }, note);
  return [
    bytes('inclusion', proof.length * ZERO_HASH.length, `${proof.length} hashes`),
    bytes(
      'consistency',
      consistency * ZERO_HASH.length,
      `${consistency} hashes; from a tree of three leaves`,
    ),
    bytes('checkpoint', Buffer.byteLength(checkpoint), 'signed, cosigned by two'),
    bytes(
      'tlog_proof',
      Buffer.byteLength(formatTlogProof({ index, proof, checkpoint })),
      'with that checkpoint',
    ),
  ];
}

export const proofBytes: Bench = {
  name: 'proof_bytes',
  about: 'sizes of proofs and of a cosigned checkpoint; the same on every machine',
  run: () => Promise.resolve([1e3, 1e6, 1e9].flatMap(proofSizes)),
};
