/** W3C trace context in `params._meta.traceparent` (MCP SEP-414), and its splicing into the bytes of a message. */
import { lastMember, objectMembers, type Span } from './json-scan.ts';
import type { WireMessage } from './message.ts';

export interface TraceParent {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** Span of the sender: the parent of ours. 16 lower-case hex digits. */
  readonly spanId: string;
  readonly flags: string;
}

/**
 * W3C Trace Context §3.2: version 00 without more fields, or a later one that starts the same way; version ff and ids of
 * all zeros are invalid.
 */
const TRACEPARENT =
  /^(?!ff)(?!00-.{53})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-[\x20-\x7e]*$)/u;

/** The parsed header, undefined when it is not valid: then a new trace is started. */
export function parseTraceparent(value: unknown): TraceParent | undefined {
  if (typeof value !== 'string' || value.length > 512) return undefined;
  const [, traceId, spanId, flags] = TRACEPARENT.exec(value) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, flags };
}

export function formatTraceparent(parent: TraceParent): string {
  return `00-${parent.traceId}-${parent.spanId}-${parent.flags}`;
}

/** Bytes [span) of the message are replaced by `text`. */
export interface Splice extends Span {
  readonly text: string;
}

/**
 * The one change that puts `traceparent` into the message's `params._meta`: an existing value is replaced (its trace id
 * is in ours, its span is our parent), else the member is added in front. undefined when the params are no object.
 */
export function traceparentSplice(message: WireMessage, traceparent: string): Splice | undefined {
  const value = JSON.stringify(traceparent);
  if (message.params === undefined || message.paramsSpan === undefined) return undefined;
  const meta = lastMember(message.params, '_meta');
  if (meta === undefined) {
    const at = message.paramsSpan.start + 1;
    const comma = message.params.length === 0 ? '' : ',';
    return { start: at, end: at, text: `"_meta":{"traceparent":${value}}${comma}` };
  }
  const members = objectMembers(message.bytes, meta);
  if (members === undefined) return undefined;
  const held = lastMember(members, 'traceparent');
  if (held !== undefined) return { start: held.start, end: held.end, text: value };
  const at = meta.start + 1;
  return { start: at, end: at, text: `"traceparent":${value}${members.length === 0 ? '' : ','}` };
}

/** The bytes with every splice done; splices do not overlap. */
export function applySplices(bytes: Uint8Array, splices: readonly Splice[]): Uint8Array {
  if (splices.length === 0) return bytes;
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const splice of splices.toSorted((a, b) => a.start - b.start)) {
    parts.push(bytes.subarray(at, splice.start), encoder.encode(splice.text));
    at = splice.end;
  }
  parts.push(bytes.subarray(at));
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
