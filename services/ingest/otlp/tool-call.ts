/** A tool call as one instrumentation tells of it, in neutral words. All of it is what the sender says. */
import type { Outcome } from '../../../schemas/event/v1.ts';

export const EMITTERS = [
  'gen_ai',
  'mcp',
  'vercel_ai',
  'openinference',
  'traceloop',
  'genkit',
  'claude_code',
] as const;
export type Emitter = (typeof EMITTERS)[number];

/** Where in a trace a thing was seen. */
export interface SpanPlace {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
}

/** Who a span says that it belongs to; absent where it does not say. */
export interface Belonging {
  readonly agent?: string | undefined;
  /** Conversation or session, as the application names it. */
  readonly conversation?: string | undefined;
  readonly principal?: string | undefined;
}

export interface ToolCall extends Belonging {
  readonly emitter: Emitter;
  readonly tool: string;
  /** Name of the MCP server, where the instrumentation knows it. */
  readonly server?: string | undefined;
  /** Text as it stood in the attribute: mostly JSON, but that is checked later. */
  readonly args?: string | undefined;
  readonly result?: string | undefined;
  /** Undefined: it never returned, or nobody saw it return. */
  readonly outcome: Outcome | undefined;
  readonly error?: string | undefined;
  /** What the host's policy or its user decided. */
  readonly verdict?: string | undefined;
  /** Unix ns. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** The model's id of the call. */
  readonly toolCallId?: string | undefined;
  readonly labels: readonly string[];
}
