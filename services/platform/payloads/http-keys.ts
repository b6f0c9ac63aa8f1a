/** Keys of payloads from the process that runs step sign. Nothing is kept here: a key that was destroyed is gone with the next question. */
import { z } from 'zod';
import { ERRORS, TriplineError, type ErrorCode } from '../../../schemas/errors.ts';
import type { SubjectKey, SubjectKeys } from './keys.ts';

export interface HttpKeysOptions {
  /** Base URL of the process that runs step sign. */
  readonly url: string;
  /** The signer's token. */
  readonly token: string;
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** Names or numbers of one request. */
const PER_REQUEST = 5_000;

const zKey = z.object({ number: z.number().int().min(1), key: z.base64().length(44) });
const zObtained = z.object({ keys: z.array(zKey.extend({ name: z.string() })) });
const zRead = z.object({ keys: z.array(zKey) });
const zFault = z.object({ error: z.object({ code: z.string(), message: z.string().optional() }) });

/** Throws `unreachable` where the signer does not answer, else its own code. */
export function httpKeys(options: HttpKeysOptions): SubjectKeys {
  return {
    obtain: async (names) => {
      const found = new Map<string, SubjectKey>();
      for (const some of chunks([...new Set(names)])) {
        const { keys } = zObtained.parse(await request(options, 'obtain', { names: some }));
        for (const { name, number, key } of keys)
          found.set(name, { number, key: Buffer.from(key, 'base64') });
      }
      return found;
    },
    read: async (numbers) => {
      const found = new Map<number, Uint8Array>();
      for (const some of chunks([...new Set(numbers)])) {
        const { keys } = zRead.parse(await request(options, 'read', { numbers: some }));
        for (const { number, key } of keys) found.set(number, Buffer.from(key, 'base64'));
      }
      return found;
    },
  };
}

function* chunks<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += PER_REQUEST) yield items.slice(from, from + PER_REQUEST);
}

async function request(options: HttpKeysOptions, path: string, body: unknown): Promise<unknown> {
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(new URL(`/v1/signer/keys/${path}`, options.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
      body: JSON.stringify(body),
    });
    answer = await response.json();
  } catch (cause) {
    throw new TriplineError('unreachable', 'the signer does not answer', { cause });
  }
  if (response.ok) return answer;
  const fault = zFault.safeParse(answer);
  if (!fault.success || !Object.hasOwn(ERRORS, fault.data.error.code)) throw new TriplineError('internal');
  throw new TriplineError(fault.data.error.code as ErrorCode, fault.data.error.message);
}
