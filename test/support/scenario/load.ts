/**
 * Producers that repeat what was not acknowledged, with the same bytes, until it is: what a host's spool does. They keep a
 * list of all that was, against which the ledger is held afterwards.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { APPROVAL, CALLS, StreamWriter, type Call, type Sent } from './events.ts';
import type { Random } from './random.ts';

export interface LoadOptions {
  readonly random: Random;
  readonly tenants: readonly { readonly name: string; readonly token: string }[];
  /** Where the service is now; it may move between lives. */
  readonly url: () => string | undefined;
  readonly producersPerTenant: number;
  readonly pauseMs: number;
}

export interface Load {
  readonly acknowledged: readonly Sent[];
  /** Requests that were sent again with the same bytes. */
  repeats(): number;
  /** Waits until everything that was begun is acknowledged. */
  stop(): Promise<void>;
  /** Ends at once, whatever is under way. */
  abandon(): void;
}

const SESSIONS_AT_ONCE = 6;
const EVENTS_PER_SESSION = 250;
const MAX_EVENTS_PER_REQUEST = 12;
const REQUEST_WITHIN_MS = 10_000;
const RETRY_MS = 50;

/** Chains among calls that mean nothing, so that alerts come all the time but not with every call. */
function randomCall(random: Random): Call {
  const path = `notes/${random.between(0, 3)}`;
  const drawn = random.next();
  if (drawn < 0.55) return CALLS.list;
  if (drawn < 0.67) return CALLS.search;
  if (drawn < 0.75) return CALLS.vault;
  if (drawn < 0.82) return CALLS.post;
  if (drawn < 0.86) return CALLS.remove;
  if (drawn < 0.88) return APPROVAL;
  return { ...(drawn < 0.94 ? CALLS.write : CALLS.read), args: { path } };
}

/** Starts the producers; they run until stopped. */
export function startLoad(options: LoadOptions): Load {
  const acknowledged: Sent[] = [];
  const stopping = new AbortController();
  const abandoned = new AbortController();
  let repeats = 0;
  const post = async (token: string, batch: readonly Sent[]): Promise<void> => {
    const body = batch.map(({ line }) => `${line}\n`).join('');
    for (let tries = 0; !abandoned.signal.aborted; tries++) {
      const url = options.url();
      if (url !== undefined && (await isTaken(url, token, body))) {
        acknowledged.push(...batch);
        return;
      }
      if (tries > 0 || url !== undefined) repeats++;
      await sleep(RETRY_MS);
    }
  };
  const produce = async (tenant: LoadOptions['tenants'][number], number: number): Promise<void> => {
    const { random } = options;
    let made = 0;
    const open = (): StreamWriter => new StreamWriter(tenant.name, `${tenant.name}-${number}-${made++}`);
    const writers = Array.from({ length: SESSIONS_AT_ONCE }, open);
    while (!stopping.signal.aborted) {
      const batch: Sent[] = [];
      const size = random.between(1, MAX_EVENTS_PER_REQUEST);
      for (let event = 0; event < size; event++) {
        const at = random.between(0, writers.length - 1);
        const writer = writers[at];
        if (writer === undefined) continue;
        batch.push(writer.event(randomCall(random), Date.now()));
        if (writer.nextSeq >= EVENTS_PER_SESSION) writers[at] = open();
      }
      await post(tenant.token, batch);
      await sleep(options.pauseMs);
    }
  };
  const running = options.tenants.flatMap((tenant) =>
    Array.from({ length: options.producersPerTenant }, (_, number) => produce(tenant, number)),
  );
  return {
    acknowledged,
    repeats: () => repeats,
    stop: async () => {
      stopping.abort();
      await Promise.all(running);
    },
    abandon: () => {
      abandoned.abort();
      stopping.abort();
    },
  };
}

/** True for 202 with nothing refused. Refusals for good are faults of the test; anything else is tried again. */
async function isTaken(url: string, token: string, body: string): Promise<boolean> {
  let response: Response;
  try {
    response = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
      body,
      signal: AbortSignal.timeout(REQUEST_WITHIN_MS),
    });
    const text = await response.text();
    if (response.status === 202) {
      const { rejected } = JSON.parse(text) as { rejected: readonly unknown[] };
      if (rejected.length === 0) return true;
    }
    if (response.status < 500 && response.status !== 429) throw new Refused(`${response.status}: ${text}`);
    return false;
  } catch (error) {
    if (error instanceof Refused) throw error;
    return false; // The connection ended: whether it was taken is unknown.
  }
}

class Refused extends Error {}
