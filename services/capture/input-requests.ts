/**
 * What a server asks a client inside a result `input_required` (MCP 2026-07-28): the same sampling, elicitation and roots
 * requests that were messages of their own before, on record as such. The client answers them in `inputResponses` when
 * it repeats its request. Keys are the server's; they are joined within one round of one logical request only.
 */
import type { Exchange } from './exchange.ts';
import { recordableName } from './draft.ts';
import { lastMember, objectMembers, type Member, type Span } from './json-scan.ts';
import type { LineState } from './line-state.ts';
import { stringAt, type WireMessage } from './message.ts';
import type { JoinedRound, Round } from './rounds.ts';

/** Inputs of one result that are followed. */
const MAX_INPUTS = 64;

/** A request inside a result, in the form of a message. */
export interface InputRequest {
  readonly key: string;
  readonly logicalCallId: string;
  readonly method: string;
  readonly message: WireMessage;
}

function inputKey({ logicalCallId, number }: Round, name: string): string {
  return `input ${logicalCallId} ${number} ${name}`;
}

function membersOf(message: WireMessage, span: Span | undefined): readonly Member[] {
  const members = span === undefined ? undefined : objectMembers(message.bytes, span);
  return (members ?? []).slice(0, MAX_INPUTS);
}

/** The requests of `result`, members of an input_required result that ends `round`. */
export function inputRequests(
  message: WireMessage,
  result: readonly Member[] | undefined,
  round: Round,
): readonly InputRequest[] {
  return membersOf(message, lastMember(result, 'inputRequests')).flatMap((member) => {
    const own = objectMembers(message.bytes, member);
    const method = stringAt(message.bytes, lastMember(own, 'method'));
    if (method === undefined) return [];
    const paramsSpan = lastMember(own, 'params');
    const params = paramsSpan === undefined ? undefined : objectMembers(message.bytes, paramsSpan);
    const inner: WireMessage = { ...message, span: member, id: undefined, method, params, paramsSpan };
    return [
      {
        key: inputKey(round, member.name),
        logicalCallId: round.logicalCallId,
        method: recordableName(method),
        message: { ...inner, result: undefined, error: undefined },
      },
    ];
  });
}

/** The answers in the params of `message`, which is `round` of its logical request. */
export function answerInputs(
  message: WireMessage,
  round: JoinedRound,
  on: {
    readonly take: (key: string) => Exchange | undefined;
    readonly answered: (exchange: Exchange, answer: WireMessage, state: LineState) => void;
  },
  state: LineState,
): void {
  const before = { logicalCallId: round.logicalCallId, number: round.number - 1 };
  for (const member of membersOf(message, lastMember(message.params, 'inputResponses'))) {
    const exchange = on.take(inputKey(before, member.name));
    if (exchange === undefined) continue;
    on.answered(
      exchange,
      { ...message, span: member, params: undefined, result: member, error: undefined },
      state,
    );
  }
}
