/**
 * A call → its lines: intent and result, and the parts of bodies that cannot stand in them. Pure and without a clock: the
 * stream is the hash of the content, so that the same span gives the same bytes whenever and by whomever it is sent
 * again (a duplicate), and another account of it can never pass for a forgery of the first.
 */
import { parseJsonObject } from '../../../schemas/event/read.ts';
import { MAX_INLINE_BODY_BYTES } from '../../../schemas/event/v1.ts';
import { toHex, type Sha256 } from '../../evidence/bytes.ts';
import type { Owner } from './belong.ts';
import { msOf } from './model.ts';
import { recordableName } from './names.ts';
import type { SeenCall } from './seen-call.ts';

/** JSON may need six bytes for one: parts stay below the limit of a line whatever they hold. */
const PART_CHARACTERS = 64 * 1024;

/** Lines of one stream, in order. */
export function eventLines(
  tenant: string,
  seen: SeenCall,
  owner: Owner,
  sha256: Sha256,
): readonly Uint8Array[] {
  const texts = contentOf(seen, owner, sha256);
  const content = ['tripline/otlp/v1', tenant, ...texts].join('\n');
  const stream = toHex(sha256(utf8(content)).subarray(0, 16));
  return texts.map((text, seq) => {
    const nonce = toHex(sha256(utf8(`${stream}-${seq}`)).subarray(0, 16));
    return utf8(`{"v":1,"stream":"${stream}","seq":${seq},"nonce":"${nonce}",${text.slice(1)}`);
  });
}

/** The lines without stream, seq and nonce. */
function contentOf(seen: SeenCall, owner: Owner, sha256: Sha256): readonly string[] {
  const { call } = seen;
  const times = { intent: isoOf(call.startNs), result: isoOf(call.endNs) };
  const who = whoOf(seen, owner);
  const args = bodyOf('args', call.args, sha256);
  const intent = withBody(
    { kind: 'call.intent', time: times.intent, ...who, ...args.fields },
    'args',
    args.inline,
  );
  const argParts = partLines(args, { time: times.intent, ...who });
  if (call.outcome === undefined) return [intent, ...argParts];
  const result = bodyOf('result', call.result, sha256);
  const fields = { kind: 'call.result', time: times.result, ...who, ...result.fields, ...endOf(seen) };
  return [
    intent,
    ...argParts,
    withBody(fields, 'result', result.inline),
    ...partLines(result, { time: times.result, ...who }),
  ];
}

function endOf({ call }: SeenCall): Readonly<Record<string, unknown>> {
  const { outcome, error, startNs, endNs } = call;
  // Microseconds are as fine as a span's clock.
  const durationMs = endNs > startNs ? Math.min(Number((endNs - startNs) / 1000n) / 1000, 1e12) : 0;
  return { outcome, durationMs, ...(error === undefined ? {} : { error: { message: error } }) };
}

function whoOf({ callId, place, call, fallback }: SeenCall, owner: Owner): Readonly<Record<string, unknown>> {
  const { toolCallId, server, verdict } = call;
  return {
    session: owner.session,
    agent: owner.agent,
    ...(owner.principal === undefined ? {} : { principal: recordableName(owner.principal) }),
    ...(fallback.host === undefined ? {} : { host: recordableName(fallback.host) }),
    callId: recordableName(callId),
    ...(toolCallId === undefined ? {} : { logicalCallId: recordableName(toolCallId) }),
    ...(place === undefined ? {} : { traceId: place.traceId, spanId: place.spanId }),
    ...(place?.parentSpanId === undefined ? {} : { parentSpanId: place.parentSpanId }),
    ...(server === undefined ? {} : { server: recordableName(server) }),
    transport: 'otlp',
    tool: recordableName(call.tool),
    ...(verdict === undefined ? {} : { verdict }),
    labels: [`otlp.${call.emitter}`, ...call.labels],
  };
}

interface Body {
  readonly of: 'args' | 'result';
  readonly fields: Readonly<Record<string, unknown>>;
  /** JSON text that stands in the line; undefined where there is no body or it travels in parts. */
  readonly inline: string | undefined;
  readonly parts: readonly string[];
  readonly hash: string;
  readonly bytes: number;
}

function bodyOf(of: Body['of'], text: string | undefined, sha256: Sha256): Body {
  if (text === undefined) return { of, fields: {}, inline: undefined, parts: [], hash: '', bytes: 0 };
  const raw = utf8(text);
  const hash = toHex(sha256(raw));
  const inline = inlineOf(text);
  return {
    of,
    fields: { [`${of}Hash`]: hash, [`${of}Bytes`]: raw.length },
    inline,
    parts: inline === undefined ? cut(text) : [],
    hash,
    bytes: raw.length,
  };
}

/** The text itself where it is JSON that all readers read alike; what is no JSON as a JSON string; else nothing. */
function inlineOf(text: string): string | undefined {
  if (text.length > MAX_INLINE_BODY_BYTES) return undefined;
  const value = isJson(text) ? oneLine(text) : JSON.stringify(text);
  if (Buffer.byteLength(value) > MAX_INLINE_BODY_BYTES) return undefined;
  return parseJsonObject(`{"body":{"of":${value}}}`).kind === 'object' ? value : undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Raw line breaks inside valid JSON are white space, and a line holds none. */
const oneLine = (text: string): string => text.replaceAll(/[\r\n]/g, ' ');

function withBody(
  fields: Readonly<Record<string, unknown>>,
  of: Body['of'],
  inline: string | undefined,
): string {
  const text = JSON.stringify(fields);
  return inline === undefined ? text : `${text.slice(0, -1)},"${of}":${inline}}`;
}

function partLines(body: Body, common: Readonly<Record<string, unknown>>): readonly string[] {
  const { of, hash, bytes: totalBytes, parts } = body;
  return parts.map((data, part) =>
    JSON.stringify({
      kind: 'call.body',
      ...common,
      body: { of, part, parts: parts.length, totalBytes, hash, data },
    }),
  );
}

/** Pieces that together are the text; no surrogate pair is cut. */
function cut(text: string): readonly string[] {
  const parts: string[] = [];
  for (let at = 0; at < text.length;) {
    let end = Math.min(text.length, at + PART_CHARACTERS);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1;
    parts.push(text.slice(at, end));
    at = end;
  }
  return parts;
}

const isoOf = (ns: bigint): string => new Date(msOf(ns)).toISOString();

const ENCODER = new TextEncoder();
const utf8 = (text: string): Uint8Array => ENCODER.encode(text);
