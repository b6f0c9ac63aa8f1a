/** Sends lines to the service over HTTP and says what became of them. No retries here: the loop above decides. */
import http from 'node:http';
import https from 'node:https';
import { sealedText, type SealedBatch } from './sealed.ts';

export interface ServiceAddress {
  /** Base URL of the service. */
  readonly url: string;
  readonly token: string | undefined;
}

export type PublishOutcome =
  /** 202: durable there. Rejected lines are in the service's dead letters and are not sent again. */
  | { readonly kind: 'taken'; readonly rejected: number; readonly firstCode: string | undefined }
  /** Every line was refused for its content; sending again cannot help. */
  | { readonly kind: 'refused'; readonly status: number; readonly firstCode: string | undefined }
  | { readonly kind: 'too_large' }
  /** Wrong or missing token: kept and tried again, since only an operator can mend it. */
  | { readonly kind: 'denied'; readonly status: number }
  | { readonly kind: 'away'; readonly reason: string; readonly retryAfterMs: number | undefined };

export interface Publisher {
  /** `batches`: signatures over runs of these lines. */
  publish(ndjson: Uint8Array, prev: string, batches?: readonly SealedBatch[]): Promise<PublishOutcome>;
  close(): void;
}

/** An answer is a short JSON object; more of it is not read. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

interface Answer {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly body: unknown;
}

/** `address` is asked before each request: the service may be started, and its token written, after its hosts. */
export function httpPublisher(address: () => ServiceAddress, timeoutMs: number, maxSockets = 2): Publisher {
  const agents = {
    http: new http.Agent({ keepAlive: true, maxSockets }),
    https: new https.Agent({ keepAlive: true, maxSockets }),
  };
  return {
    publish: async (ndjson, prev, batches = []) => {
      try {
        return outcomeOf(await post({ ...address(), agents, timeoutMs }, ndjson, { prev, batches }));
      } catch (error) {
        return { kind: 'away', reason: errorCode(error), retryAfterMs: undefined };
      }
    },
    close: () => {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

/** Code of a system error (ECONNREFUSED…), never its text. */
function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'connection failed';
}

interface PostTarget extends ServiceAddress {
  readonly agents: { readonly http: http.Agent; readonly https: https.Agent };
  readonly timeoutMs: number;
}

interface About {
  readonly prev: string;
  readonly batches: readonly SealedBatch[];
}

function post(target: PostTarget, ndjson: Uint8Array, { prev, batches }: About): Promise<Answer> {
  const url = new URL('/v1/events', target.url);
  const isTls = url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const request = (isTls ? https : http).request(url, {
      method: 'POST',
      agent: isTls ? target.agents.https : target.agents.http,
      timeout: target.timeoutMs,
      headers: {
        'content-type': 'application/x-ndjson',
        'content-length': ndjson.length,
        'tripline-prev': prev,
        ...(batches.length === 0 ? {} : { 'tripline-batch-sig': batches.map(sealedText).join(',') }),
        ...(target.token === undefined ? {} : { authorization: `Bearer ${target.token}` }),
      },
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
    request.on('response', (response) => void readAnswer(response).then(resolve, reject));
    request.end(ndjson);
  });
}

async function readAnswer(response: http.IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size <= MAX_ANSWER_BYTES) chunks.push(bytes);
  }
  const seconds = Number(response.headers['retry-after'] ?? Number.NaN);
  return {
    status: response.statusCode ?? 0,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
    body: parsed(Buffer.concat(chunks).toString('utf8')),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function rejectedOf(body: unknown): { readonly rejected: number; readonly firstCode: string | undefined } {
  const list = (body as { readonly rejected?: unknown } | null | undefined)?.rejected;
  if (!Array.isArray(list)) return { rejected: 0, firstCode: undefined };
  const code = (list[0] as { readonly code?: unknown } | undefined)?.code;
  return { rejected: list.length, firstCode: typeof code === 'string' ? code : undefined };
}

function outcomeOf(answer: Answer): PublishOutcome {
  const { status } = answer;
  if (status === 202 || status === 200) return { kind: 'taken', ...rejectedOf(answer.body) };
  if (status === 413) return { kind: 'too_large' };
  if (status === 401 || status === 403) return { kind: 'denied', status };
  if (status === 400 || status === 415 || status === 422) {
    return { kind: 'refused', status, firstCode: rejectedOf(answer.body).firstCode };
  }
  return { kind: 'away', reason: `HTTP ${status}`, retryAfterMs: answer.retryAfterMs };
}
