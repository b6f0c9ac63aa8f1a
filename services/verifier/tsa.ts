/** Whether a time stamp was made by an authority that the caller trusts. node:crypto only; no revocation is looked up. */
import { createHash, verify, X509Certificate } from 'node:crypto';
import { equalBytes } from '../evidence/bytes.ts';
import type { StampCheck, Timestamp } from '../evidence/timestamp.ts';

/** OID of the extended key usage timeStamping. */
const TIME_STAMPING = '1.3.6.1.5.5.7.3.8';
/** Certificates between the one that signed and one that is trusted, itself included. */
const MAX_CHAIN = 6;

const digestOf = (name: string, bytes: Uint8Array): Uint8Array => createHash(name).update(bytes).digest();

function parse(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

/** `trusted`: certificates of authorities, or of those who issue theirs. */
export function stampCheckOf(trusted: readonly X509Certificate[]): StampCheck {
  return (stamp) => signerOf(stamp, trusted)?.subject.replaceAll('\n', ', ') ?? null;
}

function signerOf({ content, signed, timeMs }: Timestamp, trusted: readonly X509Certificate[]) {
  const { digest, certificateHash } = signed;
  if (!equalBytes(digestOf(digest, content), signed.contentDigest)) return undefined;
  const given = signed.certificates.flatMap((der) => parse(der) ?? []);
  const all = [...trusted, ...given];
  const signer = all.find(({ raw }) =>
    equalBytes(digestOf(certificateHash.digest, raw), certificateHash.value),
  );
  if (signer === undefined || !mayStamp(signer) || !isSigned(signer, signed)) return undefined;
  return leadsToTrusted(signer, { given, trusted, timeMs }) ? signer : undefined;
}

/** RFC 3161 section 2.3: this use and no other. */
function mayStamp({ keyUsage, ca }: X509Certificate): boolean {
  // Node calls the extended key usage so, and leaves it out where there is none.
  const uses = keyUsage as readonly string[] | undefined;
  return !ca && uses?.length === 1 && uses[0] === TIME_STAMPING;
}

function isSigned(
  { publicKey }: X509Certificate,
  { digest, message, signature }: Timestamp['signed'],
): boolean {
  try {
    return verify(publicKey.asymmetricKeyType === 'ed25519' ? null : digest, message, publicKey, signature);
  } catch {
    return false;
  }
}

interface Chain {
  readonly given: readonly X509Certificate[];
  readonly trusted: readonly X509Certificate[];
  readonly timeMs: number;
}

/** Every certificate on the way was valid when the stamp was made. */
function leadsToTrusted(signer: X509Certificate, { given, trusted, timeMs }: Chain): boolean {
  let at: X509Certificate = signer;
  for (let depth = 0; depth < MAX_CHAIN; depth += 1) {
    if (!wasValid(at, timeMs)) return false;
    if (trusted.some(({ raw }) => equalBytes(raw, at.raw))) return true;
    const issuer = [...trusted, ...given].find((one) => issued(one, at));
    if (issuer === undefined) return false;
    at = issuer;
  }
  return false;
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

const wasValid = ({ validFrom, validTo }: X509Certificate, timeMs: number): boolean =>
  Date.parse(validFrom) <= timeMs && timeMs <= Date.parse(validTo);
