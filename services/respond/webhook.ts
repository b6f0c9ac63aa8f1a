/**
 * One try of one delivery: a POST by the rules of Standard Webhooks. The receiver controls the answer and, through DNS,
 * the address: no redirect is followed, the address is resolved once, judged and pinned, and the answer is not kept.
 */
import { lookup } from 'node:dns/promises';
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { DestinationConfig } from '../../schemas/config/v1.ts';
import { isPublicAddress } from './address.ts';
import { parseRetryAfterMs, type AttemptOutcome } from './schedule.ts';

/** A destination whose secret was read. */
export interface WebhookDestination extends Pick<
  DestinationConfig,
  'name' | 'url' | 'allowPrivate' | 'timeoutMs'
> {
  /** whsec_… */
  readonly secret: string;
}

export interface WebhookMessage {
  /** Stable over all tries, so that a receiver can tell a repeat; holds no `.`. */
  readonly id: string;
  /** The exact JSON text, the same for all tries. */
  readonly body: string;
}

/** Resolves a host name; an argument so that tests need no DNS. */
export type ResolveHost = (host: string) => Promise<readonly { address: string; family: number }[]>;

export interface SendOptions {
  /** Unix ms of this try: signed, since receivers refuse what is older than 5 min. */
  readonly nowMs: number;
  readonly resolveHost?: ResolveHost;
  readonly signal?: AbortSignal;
}

const MAX_HEADER_BYTES = 16 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024;
const ANSWER_TIMEOUT_MS = 2000;

/** The three headers of Standard Webhooks. Throws when the secret is not base64 behind `whsec_`. */
export function signatureHeaders(
  secret: string,
  message: WebhookMessage,
  nowMs: number,
): Readonly<Record<string, string>> {
  const at = new Date(Math.floor(nowMs / 1000) * 1000);
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(at.getTime() / 1000),
    'webhook-signature': new Webhook(secret).sign(message.id, at, message.body),
  };
}

/** Sends once; every way in which it can end is an outcome. Only 2xx is success. */
export async function sendWebhook(
  destination: WebhookDestination,
  message: WebhookMessage,
  options: SendOptions,
): Promise<AttemptOutcome> {
  let headers: Readonly<Record<string, string>>;
  try {
    headers = signatureHeaders(destination.secret, message, options.nowMs);
  } catch {
    return { kind: 'failed', reason: 'secret_invalid' };
  }
  const timeout = new AbortController();
  // Not AbortSignal.timeout: its timer does not keep a command alive that waits for nothing else.
  const timer = setTimeout(() => timeout.abort(), destination.timeoutMs);
  const signal =
    options.signal === undefined ? timeout.signal : AbortSignal.any([timeout.signal, options.signal]);
  try {
    const url = new URL(destination.url);
    const choosing = chooseAddress(url, destination, options.resolveHost ?? resolveByDns);
    const address = await withSignal(choosing, signal);
    if (address === undefined) return { kind: 'failed', reason: 'address_refused' };
    return outcomeOf(await post(url, address, { headers, body: message.body, signal }), options.nowMs);
  } catch {
    return { kind: 'failed', reason: timeout.signal.aborted ? 'timeout' : 'network' };
  } finally {
    clearTimeout(timer);
  }
}

interface Address {
  readonly address: string;
  readonly family: number;
}

/** The address to connect to; undefined when one of the name's addresses is not public: then the name is not trusted at all. */
async function chooseAddress(
  url: URL,
  destination: WebhookDestination,
  resolveHost: ResolveHost,
): Promise<Address | undefined> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(host);
  const addresses = family === 0 ? await resolveHost(host) : [{ address: host, family }];
  if (!destination.allowPrivate && !addresses.every(({ address }) => isPublicAddress(address)))
    return undefined;
  return addresses[0];
}

const resolveByDns: ResolveHost = (host) => lookup(host, { all: true });

interface Post {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
}

function post(url: URL, address: Address, { headers, body, signal }: Post): Promise<IncomingMessage> {
  const content = Buffer.from(body, 'utf8');
  const options: RequestOptions = {
    method: 'POST',
    signal,
    agent: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    // Pinned: the connection goes to the address that was judged, whatever DNS answers now. TLS still checks the name.
    lookup: (_host, wanted, callback) => {
      if (wanted.all === true) callback(null, [address]);
      else callback(null, address.address, address.family);
    },
    headers: {
      ...headers,
      'content-type': 'application/json',
      'content-length': content.length,
      'user-agent': 'tripline',
    },
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options, (response) => {
      resolve(response);
      discard(response);
    });
    request.on('error', reject);
    request.end(content);
  });
}

/** The status is the answer. A short body is read to its end, so that the receiver sees a whole exchange; a long one is cut. */
function discard(response: IncomingMessage): void {
  let receivedBytes = 0;
  response.on('error', () => undefined);
  response.setTimeout(ANSWER_TIMEOUT_MS, () => response.destroy());
  response.on('data', (chunk: Buffer) => {
    receivedBytes += chunk.length;
    if (receivedBytes > MAX_ANSWER_BYTES) response.destroy();
  });
}

function outcomeOf(response: IncomingMessage, nowMs: number): AttemptOutcome {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return { kind: 'delivered', status };
  if (status === 410) return { kind: 'gone', status };
  const retryAfterMs = parseRetryAfterMs(response.headers['retry-after'], nowMs);
  return {
    kind: 'failed',
    reason: 'http_status',
    status,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** DNS look-ups cannot be cancelled: they are left behind. */
function withSignal<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new Error('aborted'));
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

export interface TestDelivery {
  readonly delivered: boolean;
  /** One line for a person; holds no secret. */
  readonly detail: string;
  readonly status: number | null;
}

/** Sends one message of type `tripline.test` to a destination, without outbox and retry. `id` makes it unique (hex). */
export async function sendTestDelivery(
  destination: WebhookDestination,
  options: SendOptions & { readonly id: string },
): Promise<TestDelivery> {
  const timestamp = new Date(options.nowMs).toISOString();
  const body = JSON.stringify({ type: 'tripline.test', timestamp, data: { destination: destination.name } });
  const outcome = await sendWebhook(destination, { id: `test_${options.id}`, body }, options);
  if (outcome.kind === 'delivered')
    return { delivered: true, detail: `delivered (HTTP ${outcome.status})`, status: outcome.status };
  const status = outcome.status ?? null;
  const reason = outcome.kind === 'gone' ? 'the endpoint is gone' : REASONS[outcome.reason];
  return { delivered: false, detail: status === null ? reason : `${reason} (HTTP ${status})`, status };
}

const REASONS = {
  http_status: 'the endpoint refused it',
  timeout: 'no answer in time',
  network: 'no connection',
  address_refused: 'its name has a private address; set allowPrivate if that is meant',
  secret_invalid: 'its secret is not base64 behind whsec_',
} as const;
