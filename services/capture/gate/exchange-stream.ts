/** The stream that an exchange belongs to: that of its MCP session, or, where there is none, that of a session of ours. */
import type { WireMessage } from '../message.ts';
import type { Entrance } from './entrance.ts';
import type { ExchangeOptions } from './exchange-options.ts';
import { conversationOf } from './sessions.ts';
import { StreamTable, type GateStream, type StreamAbout } from './streams.ts';

type Coming = Pick<ExchangeOptions, 'entrance' | 'site' | 'request'>;

/** The stream of the MCP session that the client names, if it is open. */
export function knownStream({ entrance, site }: Coming): GateStream | undefined {
  return entrance.session === undefined ? undefined : site.streams.find(entrance.session.key);
}

/** Finds or opens the stream; undefined when there is no room for one. */
export function streamOf(coming: Coming, messages: readonly WireMessage[]): GateStream | undefined {
  return knownStream(coming) ?? opened(coming, messages);
}

function opened(coming: Coming, messages: readonly WireMessage[]): GateStream | undefined {
  const { entrance, site } = coming;
  const about = aboutStream(coming, messages);
  if (begins(entrance, messages)) return site.streams.open(about, undefined);
  const key = entrance.session?.key ?? keyOf(entrance, { own: about.session.id });
  return site.streams.find(key) ?? site.streams.open(about, key);
}

function keyOf({ served, scope }: Entrance, name: Parameters<typeof StreamTable.key>[1]): string {
  return StreamTable.key({ upstream: served.upstream.name, scope }, name);
}

function begins({ session }: Entrance, messages: readonly WireMessage[]): boolean {
  return session === undefined && messages.some(({ method }) => method === 'initialize');
}

function aboutStream({ entrance, site, request }: Coming, messages: readonly WireMessage[]): StreamAbout {
  const { served, peer, scope, agent, principal } = entrance;
  const conversationId = conversationOf(messages, request.headers);
  const mcpSessionId = entrance.session?.id;
  const session = site.sessions.of({
    upstream: served.upstream.name,
    scope,
    connectionId: peer.id,
    processSession: () => peer.processSession,
    conversationId,
    mcpSessionId,
    begins: begins(entrance, messages),
  });
  return {
    upstream: served.upstream.name,
    scope,
    session,
    agent,
    principal,
    mcpSessionId,
    conversationId,
    certificateHash: peer.certificate?.fingerprint,
    authorization: request.headers.authorization,
  };
}

/** The server names the MCP session that an `initialize` began, or begins none. */
export function nameStream(
  stream: GateStream,
  { entrance, site: { streams } }: Coming,
  mcpSessionId: string | undefined,
): void {
  if (stream.key !== undefined) return;
  if (mcpSessionId !== undefined)
    return streams.name(stream, keyOf(entrance, { mcp: mcpSessionId }), mcpSessionId);
  const own = keyOf(entrance, { own: stream.capture.session });
  if (streams.find(own) === undefined) streams.register(stream, own);
}
