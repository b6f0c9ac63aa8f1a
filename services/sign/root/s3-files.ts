/**
 * The second copy of the root log in an S3-compatible bucket. Names that are written once go with `If-None-Match: *`, so
 * that the store itself refuses a second writing, and with a retention where one is configured. Rights that this takes:
 * s3:PutObject and s3:GetObject on the prefix, with retention also s3:PutObjectRetention; nothing that deletes or lists.
 */
import { createHash } from 'node:crypto';
import { AwsClient } from 'aws4fetch';
import { TriplineError } from '../../../schemas/errors.ts';
import { equalBytes } from '../../evidence/bytes.ts';
import type { Clock } from '../../platform/clock.ts';
import { STAMP_SIZES_FILE } from '../../platform/ledger/root-source.ts';
import { diverges, CHECKPOINT_FILE } from './publish.ts';
import type { RootFiles } from './files.ts';

export interface S3Options {
  /** Of the service, such as `https://s3.eu-central-1.amazonaws.com`; the bucket goes into the path. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** Before each name; empty or ending in a slash. */
  readonly prefix: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** S3 Object Lock; absent: what the bucket does by default. */
  readonly retention: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly days: number } | undefined;
  readonly timeoutMs: number;
}

const DAY_MS = 86_400_000;
/** These say what is newest, and are written over; in a locked bucket each writing is a version. */
const MOVING: ReadonlySet<string> = new Set([CHECKPOINT_FILE, STAMP_SIZES_FILE]);

/** Names are ours and need no escaping: letters, digits, `.`, `-` and `/`. */
export function s3Files(options: S3Options, clock: Clock): RootFiles {
  const { accessKeyId, secretAccessKey, region } = options;
  // Retries are the loop's, which comes again with what is missing.
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: 0 });
  const urlOf = (name: string): string =>
    `${options.endpoint.replace(/\/$/, '')}/${options.bucket}/${options.prefix}${name}`;
  const send = async (name: string, init: RequestInit): Promise<Response> => {
    try {
      const signal = AbortSignal.timeout(options.timeoutMs);
      return await client.fetch(urlOf(name), { ...init, signal, redirect: 'error' });
    } catch (cause) {
      throw new TriplineError('unreachable', 'the bucket of the copy does not answer', { cause });
    }
  };
  const read = async (name: string): Promise<Uint8Array | undefined> => {
    const response = await send(name, { method: 'GET' });
    if (response.status === 404) return undefined;
    if (!response.ok) throw refused(response.status);
    return new Uint8Array(await response.arrayBuffer());
  };
  return {
    read,
    async write(name, bytes) {
      const headers = { ...retentionOf(options, clock), 'content-md5': md5(bytes) };
      const once = MOVING.has(name) ? {} : { 'if-none-match': '*' };
      const response = await send(name, {
        method: 'PUT',
        headers: { ...headers, ...once },
        body: Buffer.from(bytes),
      });
      // Somebody was faster, or an earlier try came through after all: then it must be the same.
      if (response.status === 412 || response.status === 409) {
        const there = await read(name);
        if (there === undefined) throw refused(response.status);
        if (!equalBytes(there, bytes)) diverges(`the copy has another ${name}`);
        return;
      }
      if (!response.ok) throw refused(response.status);
    },
    // Nothing is ever removed from a copy.
    removePartials: () => Promise.resolve(),
  };
}

function retentionOf({ retention }: S3Options, clock: Clock): Readonly<Record<string, string>> {
  if (retention === undefined) return {};
  const until = new Date(clock.nowMs() + retention.days * DAY_MS).toISOString();
  return {
    'x-amz-object-lock-mode': retention.mode,
    'x-amz-object-lock-retain-until-date': until,
  };
}

/** S3 asks for a checksum of the body where retention is set. */
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('base64');

const refused = (status: number): TriplineError =>
  new TriplineError('copy_refused', `the bucket of the copy answered ${status}`);
