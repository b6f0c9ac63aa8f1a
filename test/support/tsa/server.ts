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
  /** Answers what is not 200, or another answer than the one that was asked for, until it is set back. */
  mode: 'sound' | 'replays' | 'refuses' | 'breaks';
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
      const query = join(dir, 'query.tsq');
      const answer = join(dir, 'answer.tsr');
      writeFileSync(query, Buffer.concat(chunks));
      openssl('ts', '-reply', '-config', join(dir, 'openssl.cnf'), '-queryfile', query, '-out', answer);
      const bytes = readFileSync(answer);
      first ??= bytes;
      if (authority.mode === 'refuses') response.statusCode = 503;
      response.setHeader('content-type', 'application/timestamp-reply');
      response.end(authority.mode === 'replays' ? first : authority.mode === 'breaks' ? 'no DER' : bytes);
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
