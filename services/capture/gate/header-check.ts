/**
 * Do the MCP headers of a request say what its body says (MCP 2026-07-28, Streamable HTTP, "Server Validation")? Whatever
 * stands between client and server may have looked at the headers only. Pure; all of it is the client's.
 */
import { lastMember, objectMembers } from '../json-scan.ts';
import { valueAt, type WireMessage } from '../message.ts';
import type { ParamHeader } from './param-headers.ts';

export type HeaderValues = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The first revision without sessions, whose headers mirror the body. */
const MODERN = '2026-07-28';
const VERSION_IN_META = 'io.modelcontextprotocol/protocolVersion';
/** Where Mcp-Name stands in the params, by method. */
const NAME_OF: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
]);
const NONE: readonly string[] = [];
const SENTINEL = /^=\?base64\?(.*)\?=$/su;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/u;
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const textOfHeader = (headers: HeaderValues, name: string): string | undefined => {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
};

function versionInBody(message: WireMessage): unknown {
  const meta = lastMember(message.params, '_meta');
  if (meta === undefined) return undefined;
  return valueAt(message.bytes, lastMember(objectMembers(message.bytes, meta), VERSION_IN_META));
}

/** True for requests of the revisions without sessions, by header or by body: either alone must not hide them. */
export function isModern(messages: readonly WireMessage[], headers: HeaderValues): boolean {
  const version = textOfHeader(headers, 'mcp-protocol-version');
  if (version !== undefined && version >= MODERN) return true;
  return messages.some((message) => versionInBody(message) !== undefined);
}

/** Names (lower case) of the headers that are missing, malformed or contradict the body, each once. */
export function mismatchedHeaders(
  messages: readonly WireMessage[],
  headers: HeaderValues,
  paramsOf: (tool: string) => readonly ParamHeader[],
): readonly string[] {
  const modern = isModern(messages, headers);
  if (!modern && !mirrorsBody(headers)) return NONE;
  const found = new Set<string>();
  for (const message of messages) {
    if (message.method === undefined) continue;
    const required = modern && message.id !== undefined;
    for (const name of mismatchedIn({ message, headers, required })) found.add(name);
    if (modern && message.method === 'tools/call')
      for (const name of mismatchedParams(message, headers, paramsOf)) found.add(name);
  }
  return [...found];
}

/** Where nothing is required, and a version that no body tells contradicts none, only these are looked at. */
function mirrorsBody(headers: HeaderValues): boolean {
  return headers['mcp-method'] !== undefined || headers['mcp-name'] !== undefined;
}

interface Check {
  readonly message: WireMessage;
  readonly headers: HeaderValues;
  /** The revision asks for the headers. */
  readonly required: boolean;
}

function mismatchedIn(check: Check): readonly string[] {
  const found: string[] = [];
  if (!versionFits(check)) found.push('mcp-protocol-version');
  if (!methodFits(check)) found.push('mcp-method');
  if (!nameFits(check)) found.push('mcp-name');
  return found;
}

function versionFits({ message, headers, required }: Check): boolean {
  const body = versionInBody(message);
  const header = textOfHeader(headers, 'mcp-protocol-version');
  if (header === undefined) return !required;
  return body === undefined ? !required : header === body;
}

function methodFits({ message, headers, required }: Check): boolean {
  const header = textOfHeader(headers, 'mcp-method');
  return header === undefined ? !required : header === message.method;
}

function nameFits({ message, headers, required }: Check): boolean {
  const header = textOfHeader(headers, 'mcp-name');
  const place = NAME_OF.get(message.method ?? '');
  if (header === undefined) return !required || place === undefined;
  const value = decodedHeader(header);
  if (value === undefined) return false;
  // A method that names nothing by the specification: an extension may, so any of the usual places will do.
  const places = place === undefined ? ['name', 'uri', 'taskId'] : [place];
  return places.some((name) => valueAt(message.bytes, lastMember(message.params, name)) === value);
}

function mismatchedParams(
  message: WireMessage,
  headers: HeaderValues,
  paramsOf: (tool: string) => readonly ParamHeader[],
): readonly string[] {
  const tool = valueAt(message.bytes, lastMember(message.params, 'name'));
  if (typeof tool !== 'string') return [];
  return paramsOf(tool)
    .filter((param) => !paramFits(argumentAt(message, param.path), textOfHeader(headers, param.header)))
    .map((param) => param.header);
}

function argumentAt(message: WireMessage, path: readonly string[]): unknown {
  let span = lastMember(message.params, 'arguments');
  for (const name of path) {
    if (span === undefined) return undefined;
    span = lastMember(objectMembers(message.bytes, span), name);
  }
  return valueAt(message.bytes, span);
}

function paramFits(body: unknown, header: string | undefined): boolean {
  if (body === undefined || body === null) return header === undefined;
  if (header === undefined) return false;
  const value = decodedHeader(header);
  if (value === undefined) return false;
  if (typeof body === 'number') return value.trim() !== '' && Number(value) === body;
  return typeof body === 'string' || typeof body === 'boolean' ? value === String(body) : false;
}

/** The value behind the Base64 sentinel; undefined when it is malformed. */
export function decodedHeader(value: string): string | undefined {
  const encoded = SENTINEL.exec(value)?.[1];
  if (encoded === undefined) return value;
  if (!BASE64.test(encoded)) return undefined;
  try {
    return strictDecoder.decode(Buffer.from(encoded, 'base64'));
  } catch {
    return undefined;
  }
}
