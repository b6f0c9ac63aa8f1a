/**
 * Rounds of one logical request (MCP 2026-07-28, SEP-2322): a result `input_required` carries an opaque requestState; the
 * client repeats the request under a new id with inputResponses and that state. Where a server sends no state, the same
 * request with inputResponses joins the last open round of its tool, resource or prompt. Bounded: the oldest open round
 * is forgotten first.
 */
import { lastMember } from './json-scan.ts';
import type { WireMessage } from './message.ts';
import { opaqueState } from './outcome.ts';
import type { Sha256Hex } from './registry.ts';

const MAX_OPEN_ROUNDS = 1024;

/** The logical request that a round belongs to; 1 = the request as it was first sent. */
export interface Round {
  readonly logicalCallId: string;
  readonly number: number;
}

export interface JoinedRound extends Round {
  readonly requestStateHash: string | undefined;
}

export class RequestRounds {
  readonly #sha256Hex: Sha256Hex;
  readonly #open = new Map<string, Round>();

  constructor(sha256Hex: Sha256Hex) {
    this.#sha256Hex = sha256Hex;
  }

  stateHash(state: string | undefined): string | undefined {
    return state === undefined ? undefined : this.#sha256Hex(new TextEncoder().encode(state));
  }

  /** `subject` = what is asked for: a tool, or a method with its resource or prompt. */
  open(subject: string, stateHash: string | undefined, round: Round): void {
    const key = keyOf(subject, stateHash);
    this.#open.delete(key);
    this.#open.set(key, round);
    if (this.#open.size <= MAX_OPEN_ROUNDS) return;
    for (const oldest of this.#open.keys()) {
      this.#open.delete(oldest);
      return;
    }
  }

  /** The round that this request is, where it repeats one that asked for input; a state alone (load shedding) joins too. */
  join(subject: string, message: WireMessage): JoinedRound | undefined {
    const state = lastMember(message.params, 'requestState');
    if (state === undefined && lastMember(message.params, 'inputResponses') === undefined) return undefined;
    const requestStateHash = state && this.stateHash(opaqueState(message.bytes, state));
    const key = keyOf(subject, requestStateHash);
    const before = this.#open.get(key);
    if (before === undefined) return undefined;
    this.#open.delete(key);
    return { logicalCallId: before.logicalCallId, number: before.number + 1, requestStateHash };
  }
}

function keyOf(subject: string, stateHash: string | undefined): string {
  return stateHash === undefined ? `subject ${subject}` : `state ${stateHash}`;
}
