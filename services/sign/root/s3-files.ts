/**
 * The second copy of the root log in an S3-compatible bucket. Names that are written once go with `If-None-Match: *`, so
 * that the store itself refuses a second writing, and with a retention where one is configured. Rights that this takes:
 * s3:PutObject and s3:GetObject on the prefix, with retention also s3:PutObjectRetention, and s3:ListBucket: without it
 * S3 answers 403 instead of 404 for a name that is not there. Nothing that deletes.
 */
import { createHash } from 'node:crypto';
import { AwsClient } from 'aws4fetch';
import { TriplineError } from '../../../schemas/errors.ts';
import { equalBytes } from '../../evidence/bytes.ts';
import type { Clock } from '../../platform/clock.ts';
import { within } from '../../platform/http/within.ts';
import { STAMP_SIZES_FILE } from '../../platform/ledger/root-source.ts';
import { diverges, CHECKPOINT_FILE } from './publish.ts';
import type { RootFiles } from './files.ts';
import { readBounded } from './read-bounded.ts';

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
  /** Of a request with its answer. */
  readonly timeoutMs: number;
  /** Ends requests that are under way; absent: only the time-out does. */
  readonly signal?: AbortSignal;
}

/** An object is at most a bundle of 256 leaves, each below 64 KiB; whoever sends more is no store of ours. */
const MAX_OBJECT_BYTES = 256 * 65_536;
const DAY_MS = 86_400_000;
/** These say what is newest, and are written over; in a locked bucket each writing is a version. */
const MOVING: ReadonlySet<string> = new Set([CHECKPOINT_FILE, STAMP_SIZES_FILE]);

/** Names are ours and need no escaping: letters, digits, `.`, `-` and `/`. */
export function s3Files(options: S3Options, clock: Clock): RootFiles {
  const { accessKeyId, secretAccessKey, region } = options;
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' });
  const urlOf = (name: string): string =>
    `${options.endpoint.replace(/\/$/, '')}/${options.bucket}/${options.prefix}${name}`;
  const send = async (name: string, init: RequestInit): Promise<Answer> => {
    const { timeoutMs, signal } = options;
    try {
      const request = await client.sign(urlOf(name), init);
      return await within({ timeoutMs, signal }, async (ending) => {
        const response = await fetch(request, { signal: ending, redirect: 'error' });
        // Read in here: an answer that breaks off, or drips beyond the time-out, is no answer.
        const body = await readBounded(response.body, MAX_OBJECT_BYTES);
        if (body !== undefined) return { status: response.status, body };
        throw new TriplineError('copy_refused', `the answer for ${name} is too long`);
      });
    } catch (cause) {
      if (cause instanceof TriplineError) throw cause;
      throw new TriplineError('copy_unreachable', `no whole answer for ${name}`, { cause });
    }
  };
  const read = async (name: string): Promise<Uint8Array | undefined> => {
    const { status, body } = await send(name, { method: 'GET' });
    if (status === 404) return undefined;
    if (!isDone(status)) throw refused('GET', name, status);
    return body;
  };
  return {
    read,
    async write(name, bytes) {
      const headers = { ...retentionOf(options, clock), 'content-md5': md5(bytes) };
      const once = MOVING.has(name) ? {} : { 'if-none-match': '*' };
      const { status } = await send(name, {
        method: 'PUT',
        headers: { ...headers, ...once },
        body: Buffer.from(bytes),
      });
      // Somebody was faster, or an earlier try came through after all: then it must be the same.
      if (status === 412 || status === 409) {
        const there = await read(name);
        if (there === undefined) throw refused('PUT', name, status);
        if (!equalBytes(there, bytes)) diverges(`the copy has another ${name}`);
        return;
      }
      if (!isDone(status)) throw refused('PUT', name, status);
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

interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

const isDone = (status: number): boolean => status >= 200 && status < 300;

const refused = (method: string, name: string, status: number): TriplineError =>
  new TriplineError('copy_refused', `${method} ${name}: the bucket answered ${status}`);
