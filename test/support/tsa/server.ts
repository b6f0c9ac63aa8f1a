/** An RFC 3161 authority on loopback: certificates by `openssl`, answers by `openssl ts -reply`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export interface Authority {
  readonly url: string;
  /** PEM. */
  readonly caFile: string;
  readonly certificateFile: string;
  /** How it answers, until it is set back. */
  mode: keyof typeof MODES;
  readonly queries: () => number;
  stop(): Promise<void>;
}

const CONFIG = (dir: string): string => `
[req]
distinguished_name = name
prompt = no
[name]
CN = test
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[other]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
[tsa]
default_tsa = one
[one]
serial = ${dir}/serial
signer_cert = ${dir}/tsa.pem
certs = ${dir}/ca.pem
signer_key = ${dir}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
`;

/** What the authority is asked in the place of the query that came. */
type Asks = (query: Buffer, dir: string) => Buffer;
const same: Asks = (query) => query;

/** Flips a bit in the SHA-256 of the imprint, which ends where the nonce (10 bytes with its tag) and certReq (3) begin. */
const otherImprint: Asks = (query) => flipped(query, query.length - 3 - 11 - 32);
/** The last byte of the nonce. */
const otherNonce: Asks = (query) => flipped(query, query.length - 4);
const otherDigest: Asks = (_query, dir) => {
  const file = join(dir, 'sha512.tsq');
  openssl('ts', '-query', '-data', join(dir, 'openssl.cnf'), '-sha512', '-out', file);
  return readFileSync(file);
};

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

interface Answering {
  readonly asks: Asks;
  readonly status?: number;
  /** What is sent, of the answer and the first one that was ever made. */
  readonly sends?: (answer: Buffer, first: Buffer) => Buffer;
  /** The connection ends in the middle of the answer. */
  readonly breaksOff?: true;
}

export const MODES = {
  sound: { asks: same },
  replays: { asks: same, sends: (_answer, first) => first },
  refuses: { asks: same, status: 503 },
  breaks: { asks: same, sends: () => Buffer.from('no DER') },
  'sends nothing': { asks: same, sends: () => Buffer.alloc(0) },
  'cuts its answer short': { asks: same, sends: (answer) => answer.subarray(0, answer.length - 100) },
  'breaks off': { asks: same, breaksOff: true },
  'stamps another imprint': { asks: otherImprint },
  'stamps another nonce': { asks: otherNonce },
  // It knows SHA-256 alone, and says so with status 2 and failInfo badAlg.
  rejects: { asks: otherDigest },
} as const satisfies Record<string, Answering>;

export type KeyKind = 'rsa' | 'ec';
const KEY: Readonly<Record<KeyKind, readonly string[]>> = {
  rsa: ['-newkey', 'rsa:2048'],
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
};

export function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A CA and a certificate of it, in `dir`. */
function makeCertificates(dir: string, kind: KeyKind): void {
  writeFileSync(join(dir, 'openssl.cnf'), CONFIG(dir));
  writeFileSync(join(dir, 'serial'), '01\n');
  const at = (name: string): string => join(dir, name);
  const run = (text: string, ...more: readonly string[]): string => openssl(...text.split(' '), ...more);
  const config = at('openssl.cnf');
  const key = [...KEY[kind], '-nodes', '-batch', '-config', config];
  const own = ['-keyout', at('ca.key'), '-out', at('ca.pem'), '-subj', '/CN=test CA'];
  run('req -x509 -days 3650 -extensions ca', ...key, ...own);
  for (const [name, extensions] of [
    ['tsa', 'leaf'],
    ['web', 'other'],
  ] as const) {
    const request = at(`${name}.csr`);
    run('req -new', ...key, '-subj', `/CN=test ${name}`, '-keyout', at(`${name}.key`), '-out', request);
    const issuer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'];
    const made = ['-extfile', config, '-extensions', extensions, '-out', at(`${name}.pem`)];
    run('x509 -req -days 3650', '-in', request, ...issuer, ...made);
  }
}

export async function startAuthority(dir: string, kind: KeyKind = 'rsa'): Promise<Authority> {
  mkdirSync(dir, { recursive: true });
  makeCertificates(dir, kind);
  let queries = 0;
  let first: Buffer | undefined;
  const authority = { mode: 'sound' } as { mode: Authority['mode'] };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      queries += 1;
      const mode: Answering = MODES[authority.mode];
      const query = join(dir, 'query.tsq');
      const answer = join(dir, 'answer.tsr');
      writeFileSync(query, mode.asks(Buffer.concat(chunks), dir));
      openssl('ts', '-reply', '-config', join(dir, 'openssl.cnf'), '-queryfile', query, '-out', answer);
      const bytes = readFileSync(answer);
      first ??= bytes;
      const sent = mode.sends?.(bytes, first) ?? bytes;
      response.writeHead(mode.status ?? 200, {
        'content-type': 'application/timestamp-reply',
        'content-length': sent.length,
      });
      if (mode.breaksOff === true) response.write(sent.subarray(0, 100), () => response.socket?.destroy());
      else response.end(sent);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(authority, {
    url: `http://127.0.0.1:${port}/`,
    caFile: join(dir, 'ca.pem'),
    certificateFile: join(dir, 'tsa.pem'),
    queries: () => queries,
    stop: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}
