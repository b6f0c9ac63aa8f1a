/**
 * Who client and server say they are: once in `initialize` (up to 2025-11-25), in `_meta` of every message and in
 * server/discover (2026-07-28). Unverified: it names software for an analyst and is never an identity.
 */
import { given, type Connection } from './exchange-drafts.ts';
import { recordableName, type EventDraft } from './draft.ts';
import { lastMember, objectMembers, type Member, type Span } from './json-scan.ts';
import { stringAt, textOf, type WireMessage } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';

type Members = readonly Member[] | undefined;

const META = 'io.modelcontextprotocol/';
const MAX_CAPABILITIES = 64;
/** A peer that changes what it says with every message is told of so often and no more. */
const MAX_EVENTS = 32;
const MAX_INFO_BYTES = 4096;

const PARTS = [
  'client',
  'server',
  'protocolVersion',
  'clientCapabilities',
  'serverCapabilities',
  'instructionsHash',
] as const;
type Part = (typeof PARTS)[number];

export class Peers {
  readonly #options: Connection & Pick<ObserverOptions, 'sha256Hex'>;
  readonly #known = new Map<Part, unknown>();
  /** Bytes of each part as they stood on the wire last: most messages repeat them. */
  readonly #seen = new Map<Part, string>();
  #changed = false;
  #events = 0;

  constructor(options: Connection & Pick<ObserverOptions, 'sha256Hex'>) {
    this.#options = options;
  }

  requested(message: WireMessage, meta: Members): void {
    const { bytes, params } = message;
    if (message.method === 'initialize') {
      this.#implementation('client', bytes, lastMember(params, 'clientInfo'));
      this.#names('clientCapabilities', bytes, lastMember(params, 'capabilities'));
      return;
    }
    this.#implementation('client', bytes, lastMember(meta, `${META}clientInfo`));
    this.#names('clientCapabilities', bytes, lastMember(meta, `${META}clientCapabilities`));
    this.#text('protocolVersion', bytes, lastMember(meta, `${META}protocolVersion`));
  }

  /** `members` of the result. */
  answered(method: string, bytes: Uint8Array, members: Members): void {
    const meta = lastMember(members, '_meta');
    const own = meta === undefined ? undefined : objectMembers(bytes, meta);
    this.#implementation('server', bytes, lastMember(own, `${META}serverInfo`));
    if (method !== 'initialize' && method !== 'server/discover') return;
    this.#implementation('server', bytes, lastMember(members, 'serverInfo'));
    this.#names('serverCapabilities', bytes, lastMember(members, 'capabilities'));
    this.#text('protocolVersion', bytes, lastMember(members, 'protocolVersion'));
    this.#instructions(bytes, lastMember(members, 'instructions'));
  }

  #implementation(part: 'client' | 'server', bytes: Uint8Array, span: Span | undefined): void {
    if (!this.#isNew(part, bytes, span)) return;
    const members = objectMembers(bytes, span);
    const name = (of: string): string | undefined => {
      const text = stringAt(bytes, lastMember(members, of));
      return text === undefined ? undefined : recordableName(text);
    };
    this.#set(part, given({ name: name('name'), version: name('version'), title: name('title') }));
  }

  #names(part: Part, bytes: Uint8Array, span: Span | undefined): void {
    if (!this.#isNew(part, bytes, span)) return;
    const names = (objectMembers(bytes, span) ?? []).slice(0, MAX_CAPABILITIES);
    this.#set(
      part,
      names.map(({ name }) => recordableName(name)),
    );
  }

  #text(part: Part, bytes: Uint8Array, span: Span | undefined): void {
    if (!this.#isNew(part, bytes, span)) return;
    const text = stringAt(bytes, span);
    if (text !== undefined) this.#set(part, recordableName(text));
  }

  #instructions(bytes: Uint8Array, span: Span | undefined): void {
    if (span !== undefined)
      this.#set('instructionsHash', this.#options.sha256Hex(bytes.subarray(span.start, span.end)));
  }

  #isNew(part: Part, bytes: Uint8Array, span: Span | undefined): span is Span {
    if (span === undefined) return false;
    const text = textOf(bytes, { start: span.start, end: Math.min(span.end, span.start + MAX_INFO_BYTES) });
    if (this.#seen.get(part) === text) return false;
    this.#seen.set(part, text);
    return true;
  }

  #set(part: Part, value: unknown): void {
    if (JSON.stringify(this.#known.get(part)) === JSON.stringify(value)) return;
    this.#known.set(part, value);
    this.#changed = true;
  }

  /** The event where something is new since the last one. */
  take(): EventDraft | undefined {
    if (!this.#changed || this.#events >= MAX_EVENTS) return undefined;
    this.#changed = false;
    this.#events++;
    const { server, transport, clock } = this.#options;
    const peers = {
      verified: false,
      ...given(Object.fromEntries(PARTS.map((part) => [part, this.#known.get(part)]))),
    };
    return { kind: 'peer.info', timeMs: clock.nowMs(), fields: { server, transport, peers } };
  }
}
