/**
 * Who a call belongs to: agent and session. The session must be known before the events are written (it is the key of
 * their partition) and never changes afterwards, so a call whose ancestors are still to come waits, for a bounded time.
 */
import { recordableName } from './names.ts';
import type { SeenCall } from './seen-call.ts';
import type { Belonging } from './tool-call.ts';
import type { Climb, TraceMemory } from './trace-memory.ts';

export interface Owner {
  readonly agent: string;
  readonly session: string;
  readonly principal: string | undefined;
}

export type Belongs =
  | { readonly kind: 'known'; readonly owner: Owner }
  /** The span of an MCP client inside the span of the agent's own call of the same tool: one call, recorded once. */
  | { readonly kind: 'nested' }
  /** Ancestors are missing that may name the agent or the conversation. */
  | { readonly kind: 'waits' };

const ALONE: Climb = Object.freeze({ whole: true, inside: new Set<string>() });

/** `final`: do not wait any longer. Remembers the session of the trace. */
export function belongs(tenant: string, seen: SeenCall, memory: TraceMemory, final: boolean): Belongs {
  const { call, place } = seen;
  const climb = place === undefined ? ALONE : memory.climb(tenant, place);
  if (climb.inside.has(call.tool)) return { kind: 'nested' };
  const said = saidBy(call, climb);
  const settled = climb.whole || (said.agent !== undefined && said.conversation !== undefined);
  if (!settled && !final) return { kind: 'waits' };
  const session = recordableName(said.conversation ?? sessionOf(tenant, seen, memory));
  if (place !== undefined) memory.keepSession(tenant, place.traceId, session);
  return {
    kind: 'known',
    owner: { agent: recordableName(said.agent ?? seen.fallback.agent), session, principal: said.principal },
  };
}

/** The call's own word counts before that of the spans above it. */
function saidBy(call: Belonging, climb: Belonging): Belonging {
  return {
    agent: call.agent ?? climb.agent,
    conversation: call.conversation ?? climb.conversation,
    principal: call.principal ?? climb.principal,
  };
}

/** A trace is a run; a call without a trace around it belongs to its process. */
function sessionOf(tenant: string, { place, fallback }: SeenCall, memory: TraceMemory): string {
  if (place === undefined) return fallback.process ?? fallback.agent;
  const kept = memory.sessionOf(tenant, place.traceId);
  if (kept !== undefined) return kept;
  return place.parentSpanId === undefined ? (fallback.process ?? place.traceId) : place.traceId;
}
