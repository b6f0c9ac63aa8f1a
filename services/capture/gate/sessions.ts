/**
 * Which session a request belongs to. A gate serves many hosts: its own process names none of them. The first configured
 * source that has an answer is taken and put on record with the stream. Ids that a client asserts only part its own
 * calls: they are hashed together with who the gate knows the client to be, so nobody enters another's session.
 */
import type { GateSessionSource } from '../../../schemas/gate/v1.ts';
import { recordableName } from '../draft.ts';
import { lastMember, objectMembers } from '../json-scan.ts';
import { stringAt, type WireMessage } from '../message.ts';
import { randomHex } from '../random.ts';
import { sha256Hex } from '../recorder/chain.ts';
import { textOfHeader, type HeaderValues } from './header-check.ts';

export interface SessionFacts {
  readonly upstream: string;
  /** The client as the gate knows it: token, certificate or address. */
  readonly scope: string;
  readonly connectionId: string;
  readonly processSession: () => string | undefined;
  readonly conversationId: string | undefined;
  readonly mcpSessionId: string | undefined;
  /** `initialize` without a session id: a connection that begins. */
  readonly begins: boolean;
}

export interface GateSession {
  readonly id: string;
  readonly source: GateSessionSource;
}

const CONVERSATION = 'gen_ai.conversation.id';
/** W3C Baggage limits a list to 8192 bytes. */
const MAX_BAGGAGE_CHARACTERS = 8192;

/** gen_ai.conversation.id of the baggage in `params._meta` (SEP-414), else of the HTTP header. */
export function conversationOf(messages: readonly WireMessage[], headers: HeaderValues): string | undefined {
  for (const message of messages) {
    const meta = lastMember(message.params, '_meta');
    const members = meta === undefined ? undefined : objectMembers(message.bytes, meta);
    const found = conversationIn(stringAt(message.bytes, lastMember(members, 'baggage')));
    if (found !== undefined) return found;
  }
  return conversationIn(textOfHeader(headers, 'baggage'));
}

function conversationIn(baggage: string | undefined): string | undefined {
  if (baggage === undefined || baggage.length > MAX_BAGGAGE_CHARACTERS) return undefined;
  for (const member of baggage.split(',')) {
    const [pair = ''] = member.split(';', 1);
    const equals = pair.indexOf('=');
    if (equals === -1 || pair.slice(0, equals).trim() !== CONVERSATION) continue;
    const value = percentDecoded(pair.slice(equals + 1).trim());
    return value === '' ? undefined : recordableName(value);
  }
  return undefined;
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Session ids of clients that only their scope names: one as long as they keep coming, a new one after a pause. */
export class GateSessions {
  readonly #sources: readonly GateSessionSource[];
  readonly #idleMs: number;
  readonly #nowMs: () => number;
  readonly #byScope = new Map<string, { readonly id: string; lastMs: number }>();

  constructor(options: {
    readonly sources: readonly GateSessionSource[];
    readonly idleMs: number;
    readonly nowMs: () => number;
  }) {
    this.#sources = options.sources;
    this.#idleMs = options.idleMs;
    this.#nowMs = options.nowMs;
  }

  of(facts: SessionFacts): GateSession {
    for (const source of this.#sources) {
      const id = this.#from(source, facts);
      if (id !== undefined) return { id, source };
    }
    return { id: this.#ofScope(facts.scope), source: 'client' };
  }

  #from(source: GateSessionSource, facts: SessionFacts): string | undefined {
    switch (source) {
      case 'process':
        return facts.processSession();
      case 'conversation':
        return facts.conversationId === undefined
          ? undefined
          : derived([facts.scope, 'conversation', facts.conversationId]);
      case 'mcp_session':
        if (facts.mcpSessionId !== undefined)
          return derived([facts.scope, 'mcp_session', facts.upstream, facts.mcpSessionId]);
        return facts.begins ? randomHex(16) : undefined;
      case 'client':
        return this.#ofScope(facts.scope);
      case 'connection':
        return derived([facts.scope, 'connection', facts.connectionId]);
    }
  }

  #ofScope(scope: string): string {
    const nowMs = this.#nowMs();
    const known = this.#byScope.get(scope);
    if (known !== undefined && nowMs - known.lastMs <= this.#idleMs) {
      known.lastMs = nowMs;
      return known.id;
    }
    const id = randomHex(16);
    this.#byScope.set(scope, { id, lastMs: nowMs });
    return id;
  }

  /** A client with a call under way does not pause. */
  touch(scope: string): void {
    const known = this.#byScope.get(scope);
    if (known !== undefined) known.lastMs = this.#nowMs();
  }

  /** Forgets clients that paused. Call it now and then. */
  sweep(): void {
    const before = this.#nowMs() - this.#idleMs;
    for (const [scope, { lastMs }] of this.#byScope) if (lastMs < before) this.#byScope.delete(scope);
  }
}

function derived(parts: readonly string[]): string {
  return sha256Hex(new TextEncoder().encode(['tripline/gate-session/v1', ...parts].join('\0'))).slice(0, 32);
}
