/**
 * RFC 3161 time stamps: the query that is sent, and what an answer proves by itself. Signatures and certificates are
 * checked by an argument, since a browser has no such code.
 */
import { concatBytes, equalBytes, type Sha256 } from './bytes.ts';
import { childrenIn, childrenOf, DER_TAGS, oidOf, readDer, timeOf, writeDer, type DerNode } from './der.ts';

const OIDS = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  signedData: '1.2.840.113549.1.7.2',
  tstInfo: '1.2.840.113549.1.9.16.1.4',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  signingCertificate: '1.2.840.113549.1.9.16.2.12',
} as const;

const SHA256_ALGORITHM = writeDer(
  DER_TAGS.sequence,
  writeDer(DER_TAGS.oid, Uint8Array.of(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01)),
  Uint8Array.of(0x05, 0x00),
);
const VERSION_1 = Uint8Array.of(DER_TAGS.integer, 1, 1);
const TRUE = Uint8Array.of(DER_TAGS.boolean, 1, 0xff);

/** A query for the SHA-256 of `message`, with a random nonce of at least 8 bytes; the answer shall bring the certificate. */
export function timestampQuery(message: Uint8Array, nonce: Uint8Array, sha256: Sha256): Uint8Array {
  const imprint = writeDer(
    DER_TAGS.sequence,
    SHA256_ALGORITHM,
    writeDer(DER_TAGS.octetString, sha256(message)),
  );
  // Positive and in its shortest form, whatever was drawn.
  const number = writeDer(DER_TAGS.integer, concatBytes([Uint8Array.of(0x01), nonce]));
  return writeDer(DER_TAGS.sequence, VERSION_1, imprint, number, TRUE);
}

export const DIGESTS = ['sha256', 'sha384', 'sha512'] as const;
export type Digest = (typeof DIGESTS)[number];

/** What an answer holds. Nothing of it is to be believed before `signed` was verified. */
export interface Timestamp {
  readonly timeMs: number;
  /** SHA-256 of what was stamped. */
  readonly imprint: Uint8Array;
  /** DER INTEGER, undefined where there is none. */
  readonly nonce: Uint8Array | undefined;
  readonly content: Uint8Array;
  readonly signed: SignedContent;
}

export interface SignedContent {
  readonly digest: Digest;
  /** Digest of `content`, as the signed attributes name it. */
  readonly contentDigest: Uint8Array;
  /** What the signature is over: the signed attributes. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  /** Hash of the signer's certificate, as the signed attributes name it. */
  readonly certificateHash: { readonly digest: Digest | 'sha1'; readonly value: Uint8Array };
  /** DER, any order; of whoever made the answer. */
  readonly certificates: readonly Uint8Array[];
}

/** Undefined for what is no answer that grants a stamp in the form of RFC 3161 and RFC 5816. */
export function parseTimestamp(response: Uint8Array): Timestamp | undefined {
  const [status, token] = childrenIn(readDer(response), DER_TAGS.sequence) ?? [];
  if (!isGranted(childrenIn(status, DER_TAGS.sequence)?.[0])) return undefined;
  const [type, explicit] = childrenIn(token, DER_TAGS.sequence) ?? [];
  if (oidOf(type) !== OIDS.signedData) return undefined;
  return signedData(childrenIn(childrenIn(explicit, DER_TAGS.context0)?.[0], DER_TAGS.sequence));
}

/** 0 granted, 1 granted with modifications. */
const isGranted = (status: DerNode | undefined): boolean =>
  status?.tag === DER_TAGS.integer && status.content.length === 1 && (status.content[0] ?? 2) <= 1;

/** Content of a value with this tag. */
const contentOf = (node: DerNode | undefined, tag: number): Uint8Array | undefined =>
  node?.tag === tag ? node.content : undefined;

function signedData(parts: readonly DerNode[] | undefined): Timestamp | undefined {
  const [, , encapsulated, ...rest] = parts ?? [];
  const content = stampContent(encapsulated);
  const info = content && tstInfo(content);
  const certificates = childrenOf(rest.find(({ tag }) => tag === DER_TAGS.context0)) ?? [];
  const signers = childrenIn(rest.at(-1), DER_TAGS.set);
  // RFC 3161 section 2.4.2: exactly one signature.
  if (content === undefined || info === undefined || signers?.length !== 1) return undefined;
  const signed = signerInfo(
    signers[0],
    certificates.map(({ whole }) => whole),
  );
  return signed && { ...info, content, signed };
}

function stampContent(encapsulated: DerNode | undefined): Uint8Array | undefined {
  const [type, explicit] = childrenIn(encapsulated, DER_TAGS.sequence) ?? [];
  const [content] = childrenIn(explicit, DER_TAGS.context0) ?? [];
  return oidOf(type) === OIDS.tstInfo ? contentOf(content, DER_TAGS.octetString) : undefined;
}

function tstInfo(bytes: Uint8Array): Pick<Timestamp, 'timeMs' | 'imprint' | 'nonce'> | undefined {
  const parts = childrenIn(readDer(bytes), DER_TAGS.sequence) ?? [];
  const [, , imprint, , time, ...more] = parts;
  const [algorithm, hash] = childrenIn(imprint, DER_TAGS.sequence) ?? [];
  const timeMs = timeOf(time);
  const isSha256 = oidOf(childrenIn(algorithm, DER_TAGS.sequence)?.[0]) === OIDS.sha256;
  if (!isSha256 || hash?.tag !== DER_TAGS.octetString || timeMs === undefined) return undefined;
  const nonce = more.find(({ tag }) => tag === DER_TAGS.integer)?.whole;
  return { timeMs, imprint: hash.content, nonce };
}

function digestOf(algorithm: DerNode | undefined): Digest | undefined {
  const oid = oidOf(childrenIn(algorithm, DER_TAGS.sequence)?.[0]);
  return DIGESTS.find((name) => OIDS[name] === oid);
}

function signerInfo(
  node: DerNode | undefined,
  certificates: readonly Uint8Array[],
): SignedContent | undefined {
  const [, , algorithm, attributes, , signature] = childrenIn(node, DER_TAGS.sequence) ?? [];
  const values = attributeValues(attributes);
  const signed = {
    digest: digestOf(algorithm),
    signature: contentOf(signature, DER_TAGS.octetString),
    contentDigest: contentOf(values?.get(OIDS.messageDigest), DER_TAGS.octetString),
    certificateHash: certificateHashOf(values),
    certificates,
    // RFC 5652 section 5.4: what is signed has the tag of a SET, not the one it travels under.
    message: attributes && concatBytes([Uint8Array.of(DER_TAGS.set), attributes.whole.subarray(1)]),
  };
  const isStamp = oidOf(values?.get(OIDS.contentType)) === OIDS.tstInfo;
  return isStamp && isComplete(signed) ? signed : undefined;
}

type Maybe<T> = { readonly [Name in keyof T]: T[Name] | undefined };

const isComplete = (signed: Maybe<SignedContent>): signed is SignedContent =>
  Object.values(signed).every((value) => value !== undefined);

/** The one value of each signed attribute; undefined where one is named twice. */
function attributeValues(attributes: DerNode | undefined): ReadonlyMap<string, DerNode> | undefined {
  const values = new Map<string, DerNode>();
  for (const attribute of childrenIn(attributes, DER_TAGS.context0) ?? []) {
    const [type, set] = childrenIn(attribute, DER_TAGS.sequence) ?? [];
    const name = oidOf(type);
    const [value, ...more] = childrenIn(set, DER_TAGS.set) ?? [];
    if (name === undefined || value === undefined || more.length > 0 || values.has(name)) return undefined;
    values.set(name, value);
  }
  return values;
}

/** ESSCertIDv2 (RFC 5816), SHA-256 unless it names another; or ESSCertID, SHA-1 (RFC 2634). The first is the signer's. */
function certificateHashOf(
  values: ReadonlyMap<string, DerNode> | undefined,
): SignedContent['certificateHash'] | undefined {
  const second = values?.get(OIDS.signingCertificateV2);
  const parts = firstIdOf(second ?? values?.get(OIDS.signingCertificate));
  const value = parts.find(({ tag }) => tag === DER_TAGS.octetString)?.content;
  const digest = second === undefined ? 'sha1' : algorithmOf(parts[0]);
  return value && digest && { digest, value };
}

function firstIdOf(attribute: DerNode | undefined): readonly DerNode[] {
  const [list] = childrenIn(attribute, DER_TAGS.sequence) ?? [];
  const [id] = childrenIn(list, DER_TAGS.sequence) ?? [];
  return childrenIn(id, DER_TAGS.sequence) ?? [];
}

/** SHA-256 is left out, as the default of DER. */
const algorithmOf = (part: DerNode | undefined): Digest | undefined =>
  part?.tag === DER_TAGS.sequence ? digestOf(part) : 'sha256';

/** True where the answer is to this query: the same imprint and nonce. */
export function answersQuery(stamp: Timestamp, query: Uint8Array): boolean {
  const [, imprint, ...rest] = childrenIn(readDer(query), DER_TAGS.sequence) ?? [];
  const hash = childrenIn(imprint, DER_TAGS.sequence)?.[1];
  const nonce = rest.find(({ tag }) => tag === DER_TAGS.integer)?.whole;
  if (hash?.tag !== DER_TAGS.octetString || nonce === undefined || stamp.nonce === undefined) return false;
  return equalBytes(hash.content, stamp.imprint) && equalBytes(nonce, stamp.nonce);
}

/** Name of the authority that made the stamp, null where none that is trusted did. */
export type StampCheck = (stamp: Timestamp) => string | null;
