/**
 * Answers to requests for approval: topic approvals read from its beginning, only what the control key signed, of two answers
 * to one request the first on the topic. A view that hosts are told from; the evidence of an answer is its audit event.
 */
import type { Logger } from 'pino';
import {
  MAX_APPROVAL_TTL_MS,
  zSignedApproval,
  type ApprovalDecision,
  type SignedApproval,
} from '../../../schemas/approval/v1.ts';
import { verifySignedApproval } from '../../../schemas/approval/verify.ts';
import type { PinnedControlKey } from '../../../schemas/control/verify.ts';
import { FORMAT_APPROVAL, HEADERS, TOPICS } from '../../../schemas/topics.ts';
import type { Bus, BusMessage, BusRecord } from '../bus/port.ts';
import type { Clock } from '../clock.ts';
import { verifyEd25519 } from '../controls/key.ts';

export interface HeldApproval {
  readonly decision: ApprovalDecision;
  readonly signed: SignedApproval;
}

export type ApprovalListener = (signed: SignedApproval) => void;

export interface Approvals {
  get(tenant: string, id: string): HeldApproval | undefined;
  /** Tells the answer once, in this turn where it is there; answers the way to end it. Tenant `*`: of any tenant. */
  subscribe(tenant: string, id: string, listener: ApprovalListener): () => void;
  /** Takes in what is on the topic up to its end at the time of the call. */
  catchUp(): Promise<void>;
  close(): Promise<void>;
}

export interface ApprovalsOptions {
  readonly bus: Bus;
  readonly pinnedKeys: readonly PinnedControlKey[];
  readonly clock: Clock;
  readonly log: Logger;
}

const MAX_VALUE_BYTES = 32 * 1024;
/** An answer is of use to a host until it expires, and to readers for a while longer. */
const KEEP_MS = 7 * 86_400_000;
const MAX_HELD = 100_000;

/** Reads the topic to its end, then follows it. Rejects with the bus's errors where it cannot be read. */
export async function openApprovals(options: ApprovalsOptions): Promise<Approvals> {
  const board = new Board(options);
  await board.start();
  return board;
}

export function encodeApproval({ decision, signed }: HeldApproval): BusMessage {
  return {
    key: Buffer.from(decision.id, 'utf8'),
    value: Buffer.from(JSON.stringify(signed), 'utf8'),
    headers: { [HEADERS.format]: FORMAT_APPROVAL, [HEADERS.tenant]: decision.tenant },
  };
}

const keyOf = (tenant: string, id: string): string => `${tenant}\0${id}`;

class Board implements Approvals {
  readonly #options: ApprovalsOptions;
  readonly #held = new Map<string, HeldApproval>();
  /** By request: hosts of several tenants may wait for one id, and each is told its own. */
  readonly #listeners = new Map<string, Set<{ readonly tenant: string; readonly tell: ApprovalListener }>>();
  #nextOffset = 0;
  #stopTail: () => Promise<void> = () => Promise.resolve();

  constructor(options: ApprovalsOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.catchUp();
    const tail = await this.#options.bus.tail({
      topics: [TOPICS.approvals.name],
      from: 'earliest',
      onRecords: (records) => {
        this.#takeIn(records);
        return Promise.resolve();
      },
      onError: (error) => this.#options.log.warn({ err: error }, 'reading topic approvals'),
    });
    this.#stopTail = () => tail.stop();
  }

  get(tenant: string, id: string): HeldApproval | undefined {
    return this.#held.get(keyOf(tenant, id));
  }

  subscribe(tenant: string, id: string, tell: ApprovalListener): () => void {
    const listener = { tenant, tell };
    const own = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, own.add(listener));
    for (const held of this.#answers(tenant, id)) tell(held.signed);
    return () => {
      own.delete(listener);
      if (own.size === 0 && this.#listeners.get(id) === own) this.#listeners.delete(id);
    };
  }

  #answers(tenant: string, id: string): readonly HeldApproval[] {
    if (tenant !== '*') return [this.get(tenant, id)].filter((held) => held !== undefined);
    return [...this.#held.values()].filter(({ decision }) => decision.id === id);
  }

  async catchUp(): Promise<void> {
    const topic = TOPICS.approvals.name;
    const [at] = await this.#options.bus.offsets(topic);
    if (at === undefined || at.latest <= this.#nextOffset) return;
    const from = Math.max(this.#nextOffset, at.earliest);
    for await (const records of this.#options.bus.read({
      topic,
      partition: at.partition,
      from,
      to: at.latest,
    }))
      this.#takeIn(records);
  }

  #takeIn(records: readonly BusRecord[]): void {
    for (const record of records) {
      // The tail begins anew at the beginning: what was read is passed over.
      if (record.offset < this.#nextOffset) continue;
      this.#nextOffset = record.offset + 1;
      this.#accept(record);
    }
  }

  #accept({ value, offset }: BusRecord): void {
    const held = this.#verified(value, offset);
    if (held === undefined || this.#isOver(held.decision)) return;
    const { id, tenant } = held.decision;
    const key = keyOf(tenant, id);
    if (this.#held.has(key)) return;
    this.#forgetOld();
    this.#held.set(key, held);
    for (const listener of this.#listeners.get(id) ?? [])
      if (listener.tenant === '*' || listener.tenant === tenant) this.#tell(listener.tell, held.signed);
  }

  #verified(value: Uint8Array | null, offset: number): HeldApproval | undefined {
    const { pinnedKeys, log } = this.#options;
    const signed = decode(value);
    const verified =
      signed === undefined ? undefined : verifySignedApproval(signed, pinnedKeys, verifyEd25519);
    if (signed !== undefined && verified?.kind === 'valid') return { decision: verified.decision, signed };
    // Somebody who may write to the bus but has not the key, or a key that was replaced.
    const code = verified?.kind === 'invalid' ? verified.code : 'approval_invalid';
    log.error({ offset, code }, 'approval refused');
    return undefined;
  }

  #tell(tell: ApprovalListener, signed: SignedApproval): void {
    try {
      tell(signed);
    } catch (error) {
      this.#options.log.error({ err: error }, 'approval listener');
    }
  }

  #isOver({ issuedAt }: ApprovalDecision): boolean {
    return this.#options.clock.nowMs() > Date.parse(issuedAt) + MAX_APPROVAL_TTL_MS + KEEP_MS;
  }

  #forgetOld(): void {
    if (this.#held.size < MAX_HELD) return;
    for (const [key, { decision }] of this.#held) if (this.#isOver(decision)) this.#held.delete(key);
  }

  async close(): Promise<void> {
    await this.#stopTail();
    this.#listeners.clear();
  }
}

function decode(value: Uint8Array | null): SignedApproval | undefined {
  if (value === null || value.length > MAX_VALUE_BYTES) return undefined;
  try {
    return zSignedApproval.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch {
    return undefined;
  }
}
