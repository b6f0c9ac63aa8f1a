/** What the signatures of producers are worth: entries by key, judged once all registrations and revocations are known. Pure. */
import type { Sha256 } from './bytes.ts';
import { toHex } from './bytes.ts';
import type { KeyChange } from './producer-keys.ts';
import type { StreamEnd } from './stream-ends.ts';

/** Keys that the caller trusts, by key id; then no registration of the bundle counts. */
export type TrustedProducers = ReadonlyMap<string, TrustedProducer>;
export interface TrustedProducer {
  readonly name: string;
  /** Of one tenant, or of any. */
  readonly tenant: string | undefined;
  /** Records appended from then on do not count. */
  readonly revokedMs: number | undefined;
}

export type KeyStatus = 'registered' | 'unregistered' | 'revoked' | 'unknown';

export interface ProducerKeyReport {
  readonly tenant: string;
  readonly keyId: string;
  readonly name: string;
  readonly status: KeyStatus;
  /** Entries under the key while it counted. */
  readonly counted: number;
  /** Entries before it was registered, or after it was revoked. */
  readonly uncounted: number;
}

export interface OpenEnd extends StreamEnd {
  readonly log: string;
}

/** Lines of hosts (topic toolcalls), by what vouches for them. */
export interface ProducerReport {
  /** Under the signature of a key that was registered for the tenant then. */
  readonly signed: number;
  /** Under a signature that holds, of a key that was not registered. */
  readonly unregistered: number;
  /** Under a signature that holds, of a key that was revoked by then. */
  readonly revoked: number;
  /** Under a signature that holds; the bundle does not tell which keys were registered. */
  readonly unjudged: number;
  /** Their record was cut by a filter or a sample, so that the signature does not reach them. */
  readonly unchecked: number;
  readonly unsigned: number;
  /** True when the keys that count are those that the caller named. */
  readonly keysTrusted: boolean;
  /** At most 100. */
  readonly keys: readonly ProducerKeyReport[];
  /** Streams that fell silent or closed over more than came; at most 100. */
  readonly openEnds: readonly OpenEnd[];
  readonly openEndCount: number;
}

const MAX_LISTED = 100;

interface KeyEntries {
  readonly tenant: string;
  readonly keyId: string;
  /** Entries by append time of their record: 16 bytes or so a record. */
  readonly byTime: Map<number, number>;
}

interface Span {
  readonly fromMs: number;
  toMs: number;
}

interface Registration {
  name: string;
  readonly spans: Span[];
}

export class ProducerTally {
  readonly #sha256: Sha256;
  readonly #trusted: TrustedProducers | undefined;
  readonly #entries = new Map<string, KeyEntries>();
  readonly #registered = new Map<string, Registration>();
  readonly #openEnds: OpenEnd[] = [];
  #openEndCount = 0;
  #unsigned = 0;
  #unchecked = 0;
  #skips = false;

  constructor(sha256: Sha256, trusted?: TrustedProducers) {
    this.#sha256 = sha256;
    this.#trusted = trusted;
  }

  signed(tenant: string, keyId: string, of: { readonly appendMs: number; readonly entries: number }): void {
    const name = `${keyId}${tenant}`;
    const known = this.#entries.get(name) ?? { tenant, keyId, byTime: new Map<number, number>() };
    known.byTime.set(of.appendMs, (known.byTime.get(of.appendMs) ?? 0) + of.entries);
    this.#entries.set(name, known);
  }

  unsigned(_tenant: string, entries: number): void {
    this.#unsigned += entries;
  }

  unchecked(_tenant: string, entries: number): void {
    this.#unchecked += entries;
  }

  /** Entries were not looked into: which keys they register is not known. */
  skipped(): void {
    this.#skips = true;
  }

  /** A KEY entry; those of one tenant come in the order of its log. */
  change(tenant: string, change: KeyChange, appendMs: number): void {
    const keyId = change.kind === 'register' ? toHex(this.#sha256(change.publicKey)) : change.keyId;
    const name = `${keyId}${tenant}`;
    const known = this.#registered.get(name);
    const open = known?.spans.find(({ toMs }) => toMs === Number.POSITIVE_INFINITY);
    if (change.kind === 'revoke') {
      if (open !== undefined) open.toMs = appendMs;
      return;
    }
    const registration = known ?? { name: change.name, spans: [] };
    registration.name = change.name;
    if (open === undefined) registration.spans.push({ fromMs: appendMs, toMs: Number.POSITIVE_INFINITY });
    this.#registered.set(name, registration);
  }

  openEnd(end: OpenEnd): void {
    this.#openEndCount += 1;
    if (this.#openEnds.length < MAX_LISTED) this.#openEnds.push(end);
  }

  get openEndCount(): number {
    return this.#openEndCount;
  }

  /** `isWhole`: the audit logs of the tenants are all here. */
  report(isWhole: boolean): ProducerReport {
    const isKnown = isWhole && !this.#skips;
    const judged = [...this.#entries.values()].map((of) => this.#judge(of, isKnown));
    const sum = (of: (key: JudgedKey) => number): number => judged.reduce((total, key) => total + of(key), 0);
    return {
      signed: sum(({ report }) => report.counted),
      unregistered: sum(({ unregistered }) => unregistered),
      revoked: sum(({ revoked }) => revoked),
      unjudged: sum(({ unjudged }) => unjudged),
      unchecked: this.#unchecked,
      unsigned: this.#unsigned,
      keysTrusted: this.#trusted !== undefined,
      keys: judged.slice(0, MAX_LISTED).map(({ report }) => report),
      openEnds: this.#openEnds,
      openEndCount: this.#openEndCount,
    };
  }

  #judge({ tenant, keyId, byTime }: KeyEntries, isWhole: boolean): JudgedKey {
    const { name, spans, isKnown } = this.#spansOf(tenant, keyId, isWhole);
    let counted = 0;
    let revoked = 0;
    let other = 0;
    for (const [ms, entries] of byTime) {
      if (spans.some(({ fromMs, toMs }) => ms >= fromMs && ms < toMs)) counted += entries;
      else if (spans.some(({ toMs }) => ms >= toMs)) revoked += entries;
      else other += entries;
    }
    const status = isKnown ? statusOf(spans) : 'unknown';
    const report = { tenant, keyId, name, status, counted, uncounted: revoked + (isKnown ? other : 0) };
    return { report, revoked, unregistered: isKnown ? other : 0, unjudged: isKnown ? 0 : other };
  }

  #spansOf(
    tenant: string,
    keyId: string,
    isWhole: boolean,
  ): { readonly name: string; readonly spans: readonly Span[]; readonly isKnown: boolean } {
    if (this.#trusted === undefined) {
      const { name = '', spans = [] } = this.#registered.get(`${keyId}${tenant}`) ?? {};
      return { name, spans, isKnown: isWhole || spans.length > 0 };
    }
    const key = this.#trusted.get(keyId);
    if (key === undefined || (key.tenant !== undefined && key.tenant !== tenant))
      return { name: '', spans: [], isKnown: true };
    const span = { fromMs: Number.NEGATIVE_INFINITY, toMs: key.revokedMs ?? Number.POSITIVE_INFINITY };
    return { name: key.name, spans: [span], isKnown: true };
  }
}

interface JudgedKey {
  readonly report: ProducerKeyReport;
  readonly revoked: number;
  readonly unregistered: number;
  readonly unjudged: number;
}

function statusOf(spans: readonly Span[]): KeyStatus {
  if (spans.length === 0) return 'unregistered';
  return spans.some(({ toMs }) => toMs === Number.POSITIVE_INFINITY) ? 'registered' : 'revoked';
}
