/** The signer of another process, over HTTP. Same contract as in process; nothing is retried here. */
import { ERRORS, TriplineError, type ErrorCode } from '../../schemas/errors.ts';
import type { LogCheckpoint, RootSnapshot } from '../platform/ledger/root-source.ts';
import type { Manifest, PartitionState, ReserveOutcome, SignedHeads, Signer } from './ports.ts';

export interface HttpSignerOptions {
  /** Base URL of the process that runs step sign. */
  readonly url: string;
  readonly token: string;
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** Throws `unreachable` when the outcome is unknown, else the signer's own code. */
export function httpSigner(options: HttpSignerOptions): Signer {
  const call = async <Answer>(path: string, body?: unknown): Promise<Answer> =>
    (await request(options, path, body)) as Answer;
  return {
    state: (topic, partition) => call<PartitionState>('state', { topic, partition }),
    reserve: (manifest: Manifest) => call<ReserveOutcome>('reserve', manifest),
    commit: (manifest: Manifest) => call<SignedHeads>('commit', manifest),
    heads: () => call('heads'),
    publicKey: async () => {
      const { publicKey } = await call<{ publicKey: string }>('key');
      return new Uint8Array(Buffer.from(publicKey, 'base64'));
    },
    report: async (finding) => void (await call('finding', finding)),
    acceptLoss: async (loss) => void (await call('loss', loss)),
    repairs: {
      take: async () => void (await call('repair/take', {})),
      done: async () => void (await call('repair/done', {})),
    },
    root: {
      settle: () => call<RootSnapshot>('root/settle', {}),
      read: async (path) => {
        const { bytes } = await call<{ bytes: string | null }>('root/read', { path });
        return bytes === null ? undefined : new Uint8Array(Buffer.from(bytes, 'base64'));
      },
      logCheckpoint: async (logId) =>
        (await call<{ log: LogCheckpoint | null }>('root/log', { logId })).log ?? undefined,
    },
  };
}

async function request(options: HttpSignerOptions, path: string, body: unknown): Promise<unknown> {
  const init: RequestInit = {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' },
    signal: AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(new URL(`/v1/signer/${path}`, options.url), init);
    answer = await response.json();
  } catch (cause) {
    throw new TriplineError('unreachable', 'the signer does not answer', { cause });
  }
  if (response.ok) return answer;
  throw faultOf(answer);
}

function faultOf(answer: unknown): TriplineError {
  const error = (answer as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  const code =
    typeof error?.code === 'string' && error.code in ERRORS ? (error.code as ErrorCode) : 'internal';
  return new TriplineError(code, typeof error?.message === 'string' ? error.message : undefined);
}
