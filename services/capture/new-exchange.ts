/** The parts of an exchange that are read alike for calls and messages. */
import { against, pendingKey, type Exchange } from './exchange.ts';
import { given } from './exchange-drafts.ts';
import { lastMember, objectMembers, type Member } from './json-scan.ts';
import { idKeyOf, valueAt, type Direction, type WireMessage } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';
import type { JoinedRound } from './rounds.ts';
import { parseTraceparent, type TraceParent } from './trace-context.ts';

/** Members of `params._meta`. */
export function metaOf(message: WireMessage): readonly Member[] | undefined {
  const meta = lastMember(message.params, '_meta');
  return meta === undefined ? undefined : objectMembers(message.bytes, meta);
}

export function parentOf(message: WireMessage, meta: readonly Member[] | undefined): TraceParent | undefined {
  return parseTraceparent(valueAt(message.bytes, lastMember(meta, 'traceparent')));
}

export interface Opening {
  readonly direction: Direction;
  readonly message: WireMessage;
  readonly meta: readonly Member[] | undefined;
  readonly about: Exchange['about'];
  readonly mcp: Readonly<Record<string, unknown>>;
  readonly hosts: readonly string[];
  readonly round?: JoinedRound | undefined;
  readonly logicalCallId?: string | undefined;
  /** Where it is no message of its own: the key that its answer is found by. */
  readonly key?: string;
}

export function newExchange(
  options: Pick<ObserverOptions, 'randomHex' | 'clock'>,
  opening: Opening,
): Exchange {
  const { direction, message, meta, about, mcp, hosts, round } = opening;
  const callId = options.randomHex(16);
  const token = idKeyOf(message, lastMember(meta, 'progressToken'));
  return {
    key: opening.key ?? pendingKey(direction, message.id?.key ?? ''),
    direction,
    callId,
    logicalCallId: round?.logicalCallId ?? opening.logicalCallId ?? callId,
    startedAtMs: options.clock.monotonicMs(),
    about,
    mcp:
      round === undefined
        ? mcp
        : { ...mcp, ...given({ round: round.number, requestStateHash: round.requestStateHash }) },
    progressKey: token === undefined ? undefined : pendingKey(direction, token),
    progress: { count: 0 },
    heldBack: undefined,
    hosts,
    hold: undefined,
    ended: false,
  };
}

/** What an answer is: the request it travels against. */
export function answeredKey(direction: Direction, message: WireMessage): string {
  return pendingKey(against(direction), message.id?.key ?? '');
}
