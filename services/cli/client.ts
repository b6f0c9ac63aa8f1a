/** The HTTP client of all commands: finds the service, sends the token, turns answers into values or our errors. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ERRORS, TriplineError, type ErrorCode } from '../../schemas/errors.ts';
import { expandHome } from '../platform/config/load.ts';
import { isRunning } from '../platform/process-alive.ts';

export interface Endpoint {
  readonly url: string;
  readonly token: string | undefined;
}

const zErrorAnswer = z.object({
  error: z.object({ code: z.string(), message: z.string().optional(), path: z.string().nullish() }),
});

type Environment = Readonly<Record<string, string | undefined>>;

/** Data directory of commands: TRIPLINE_DATA_DIR, else ~/.tripline. */
export function dataDirOf(env: Environment): string {
  return expandHome(env['TRIPLINE_DATA_DIR'] ?? '~/.tripline');
}

/** True while a service that announced itself in the directory lives. */
export function runsIn(dataDir: string): boolean {
  return urlAnnounced(dataDir) !== undefined;
}

/** URL of the running service: TRIPLINE_URL, else run.json of the data directory when its process lives, else undefined. */
export function runningUrl(env: Environment): string | undefined {
  const fixed = env['TRIPLINE_URL'];
  if (fixed !== undefined && fixed !== '') return fixed.replace(/\/+$/, '');
  return urlAnnounced(dataDirOf(env));
}

function urlAnnounced(dataDir: string): string | undefined {
  try {
    const run: unknown = JSON.parse(readFileSync(join(dataDir, 'run.json'), 'utf8'));
    if (typeof run !== 'object' || run === null || !('url' in run) || !('pid' in run)) return undefined;
    return isRunning(Number(run.pid)) ? String(run.url) : undefined;
  } catch {
    return undefined; // No file: nothing runs there.
  }
}

/** Bearer token: TRIPLINE_TOKEN, else admin.token of the data directory. */
export function tokenOf(env: Environment): string | undefined {
  const fixed = env['TRIPLINE_TOKEN'];
  if (fixed !== undefined && fixed !== '') return fixed;
  try {
    return readFileSync(join(dataDirOf(env), 'admin.token'), 'utf8').trim();
  } catch {
    return undefined; // The service answers auth_missing, which says what to do.
  }
}

export class ApiClient {
  readonly endpoint: Endpoint;
  readonly #signal: AbortSignal;

  constructor(endpoint: Endpoint, signal: AbortSignal) {
    this.endpoint = endpoint;
    this.#signal = signal;
  }

  get(path: string, query: Readonly<Record<string, string | undefined>> = {}): Promise<unknown> {
    const parameters = Object.entries(query).filter(
      (pair): pair is [string, string] => pair[1] !== undefined,
    );
    const search = new URLSearchParams(parameters).toString();
    return this.#json(`${path}${search === '' ? '' : `?${search}`}`, { method: 'GET' });
  }

  post(path: string, body: unknown): Promise<unknown> {
    return this.#json(path, jsonPost(body));
  }

  /** Sends NDJSON lines; the answer's body also where the status is 400 (all rejected), since it lists why. */
  async postLines(
    lines: readonly (string | Uint8Array)[],
    headers: Readonly<Record<string, string>> = {},
  ): Promise<unknown> {
    const body = Buffer.concat(lines.flatMap((line) => [Buffer.from(line as string), Buffer.from('\n')]));
    return this.#json(
      '/v1/events',
      { method: 'POST', body, headers: { 'content-type': 'application/x-ndjson', ...headers } },
      (status, value) => status === 400 && typeof value === 'object' && value !== null && 'rejected' in value,
    );
  }

  /** All items of a listing, page by page, at most `limit`. */
  async *items(
    path: string,
    query: Readonly<Record<string, string | undefined>>,
    limit: number,
  ): AsyncGenerator {
    let cursor: string | undefined;
    let left = limit;
    while (left > 0) {
      const page = await this.get(path, { ...query, limit: String(Math.min(left, 500)), cursor });
      const { items, nextCursor } = page as { items: readonly unknown[]; nextCursor: string | null };
      for (const item of items) yield item;
      left -= items.length;
      // A page may be empty and not the last: what was looked through is bounded, too.
      if (nextCursor === null || nextCursor === undefined || nextCursor === cursor) return;
      cursor = nextCursor;
    }
  }

  /** The answer as it comes; a POST where there is a body. */
  async bytes(path: string, body?: unknown): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#fetch(path, body === undefined ? { method: 'GET' } : jsonPost(body));
    if (!response.ok || response.body === null) throw await errorOf(response);
    return response.body;
  }

  async #json(
    path: string,
    init: RequestInit,
    accept: (status: number, value: unknown) => boolean = () => false,
  ): Promise<unknown> {
    const response = await this.#fetch(path, init);
    if (response.ok) return response.status === 204 ? undefined : await response.json();
    const value: unknown = await response
      .clone()
      .json()
      .catch(() => undefined);
    if (accept(response.status, value)) return value;
    throw await errorOf(response);
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.endpoint.token !== undefined) headers.set('authorization', `Bearer ${this.endpoint.token}`);
    try {
      return await fetch(`${this.endpoint.url}${path}`, {
        ...init,
        headers,
        signal: this.#signal,
        redirect: 'error',
      });
    } catch (cause) {
      throw new TriplineError(
        'unreachable',
        `${this.endpoint.url} does not answer; is \`tripline up\` running?`,
        { cause },
      );
    }
  }
}

function jsonPost(body: unknown): RequestInit {
  return {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  };
}

async function errorOf(response: Response): Promise<TriplineError> {
  return answerError(response.status, await response.text().catch(() => ''));
}

/** A refusal as our error: its own code where the body tells one of ours, else by the status. */
export function answerError(status: number, body: string): TriplineError {
  const parsed = zErrorAnswer.safeParse(jsonOf(body));
  if (!parsed.success || !isErrorCode(parsed.data.error.code)) {
    const code = status === 401 ? 'auth_invalid' : 'internal';
    return new TriplineError(code, `the service answered ${status}`);
  }
  const { code, message, path } = parsed.data.error;
  return new TriplineError(code as ErrorCode, message, typeof path === 'string' ? { path } : {});
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isErrorCode(code: string): boolean {
  return Object.hasOwn(ERRORS, code);
}
