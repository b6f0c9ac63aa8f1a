/**
 * What is remembered of traces, bounded: each span's parent and what it says of agent and conversation, so that a call
 * finds its agent by climbing. A cache: what is forgotten costs a call the name of its agent, never the call.
 */
import { LRUCache } from 'lru-cache';
import { recordableName } from './names.ts';
import type { Belonging, SpanPlace } from './tool-call.ts';

export interface KnownSpan extends Belonging {
  readonly parentSpanId: string | undefined;
  /** Tool of a span that is a call. */
  readonly tool: string | undefined;
}

export interface Climb extends Belonging {
  /** The climb ended at a root: nothing that is still to come can change its answer. */
  readonly whole: boolean;
  /** Tools of the calls around it, up to the nearest agent: an MCP client's span inside an agent's `execute_tool`. */
  readonly inside: ReadonlySet<string>;
}

const MAX_SPANS = 100_000;
const MAX_SESSIONS = 50_000;
/** Deeper traces are climbed this far. */
const MAX_CLIMB = 256;

export class TraceMemory {
  readonly #spans = new LRUCache<string, KnownSpan>({ max: MAX_SPANS });
  readonly #sessions = new LRUCache<string, string>({ max: MAX_SESSIONS });

  get size(): number {
    return this.#spans.size;
  }

  add(tenant: string, place: SpanPlace, said: Belonging & { readonly tool?: string | undefined }): void {
    this.#spans.set(spanKey(tenant, place.traceId, place.spanId), {
      parentSpanId: place.parentSpanId,
      agent: bounded(said.agent),
      conversation: bounded(said.conversation),
      principal: bounded(said.principal),
      tool: said.tool,
    });
  }

  /** From the parent of `place` to the root, or as far as is known. The nearest that says something counts. */
  climb(tenant: string, place: SpanPlace): Climb {
    const found: { -readonly [Key in keyof Belonging]: Belonging[Key] } = {};
    const inside = new Set<string>();
    let at = place.parentSpanId;
    for (let steps = 0; at !== undefined && steps < MAX_CLIMB; steps += 1) {
      const span = this.#spans.get(spanKey(tenant, place.traceId, at));
      if (span === undefined) return { ...found, whole: false, inside };
      if (found.agent === undefined && span.tool !== undefined) inside.add(span.tool);
      found.agent ??= span.agent;
      found.conversation ??= span.conversation;
      found.principal ??= span.principal;
      at = span.parentSpanId;
    }
    return { ...found, whole: true, inside };
  }

  /** The session that the trace's first call went to: its later calls follow, also when more is known by then. */
  sessionOf(tenant: string, traceId: string): string | undefined {
    return this.#sessions.get(`${tenant}\0${traceId}`);
  }

  keepSession(tenant: string, traceId: string, session: string): void {
    const key = `${tenant}\0${traceId}`;
    if (!this.#sessions.has(key)) this.#sessions.set(key, session);
  }
}

const spanKey = (tenant: string, traceId: string, spanId: string): string => `${traceId}${spanId}${tenant}`;

const bounded = (name: string | undefined): string | undefined =>
  name === undefined ? undefined : recordableName(name);
