/**
 * Spans → calls with their agent and session. Children are exported before their parents, often in an earlier request,
 * so a call whose ancestors are missing waits, on disk, until they come or `assemblyWaitMs` is over. A request is
 * answered when each of its calls is durable: on the bus, or in the waiting room.
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { TriplineError } from '../../../schemas/errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { belongs, type Belongs, type Owner } from './belong.ts';
import { belongingOf } from './belonging.ts';
import type { OwnedCall, Sender } from './emit.ts';
import type { ItemOutcome, Release, Signal } from './instruments.ts';
import type { OtlpLog, OtlpSpan } from './model.ts';
import type { RecordedCalls } from './recorded-calls.ts';
import { callOfLog, callsOfSpan, isRecordedByTap, type SeenCall } from './seen-call.ts';
import { TraceMemory } from './trace-memory.ts';
import type { WaitingCall, WaitingRoom } from './waiting-room.ts';

export interface AssemblerParts {
  readonly room: WaitingRoom;
  readonly recorded: RecordedCalls;
  readonly clock: Clock;
  readonly log: Logger;
  readonly assemblyWaitMs: number;
  readonly maxWaitingCalls: number;
  readonly digest: (text: string) => string;
  /** Resolves when the events are durable; answers the number of lines refused. */
  readonly emit: (sender: Sender, calls: readonly OwnedCall[]) => Promise<number>;
  readonly count: (signal: Signal, outcome: ItemOutcome, by?: number) => void;
  readonly released: (reason: Release, by: number) => void;
}

interface Waits extends WaitingCall {
  readonly sinceMs: number;
  settling: boolean;
}

/** Owners of calls that were sent: the same span sent again must give the same bytes, whatever is known by then. */
const MAX_OWNERS = 100_000;
/** Characters of arguments and results that calls may hold in memory while they wait. */
const MAX_WAITING_CHARACTERS = 64 * 1024 * 1024;
const SWEEP_EVERY_MS = 100;
const RETRY_AFTER_MS = 1_000;

export class Assembler {
  readonly #parts: AssemblerParts;
  readonly #memory = new TraceMemory();
  readonly #owners = new LRUCache<string, Owner>({ max: MAX_OWNERS });
  readonly #waiting = new Map<string, Waits>();
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> | undefined;
  #characters = 0;

  constructor(parts: AssemblerParts) {
    this.#parts = parts;
    // What a process left behind waits anew: the spans above it may still come.
    for (const [key, call] of parts.room.all()) this.#remember(key, call);
    this.#sweep();
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves when all calls of the spans are durable; answers how many lines were refused. Throws bus_backpressure while the bus takes nothing and no more calls can wait. */
  async takeSpans(sender: Sender, spans: readonly OtlpSpan[]): Promise<number> {
    if (this.#overload() >= 2) throw new TriplineError('bus_backpressure');
    const seen = spans.flatMap((span) => this.#look(sender.tenant, span));
    const known: OwnedCall[] = [];
    const waits: [string, WaitingCall][] = [];
    for (const call of seen) {
      const key = keyOf(sender.tenant, call);
      const place = this.#place(key, sender.tenant, call);
      this.#parts.count('traces', COUNTED[place.kind]);
      if (place.kind === 'known') known.push({ seen: call, owner: place.owner });
      else if (place.kind === 'waits' && !this.#waiting.has(key))
        waits.push([key, { ...sender, seen: call, owner: undefined }]);
    }
    const [refused] = await Promise.all([this.#send(sender, known), this.#parts.room.put(waits)]);
    for (const [key, call] of waits) this.#remember(key, call);
    await this.#settleReady(new Set(spans.map(({ traceId }) => sender.tenant + traceId)));
    this.#sweep();
    return refused;
  }

  /** As takeSpans; log records name their session themselves and never wait. */
  async takeLogs(sender: Sender, logs: readonly OtlpLog[]): Promise<number> {
    const calls = logs.flatMap((log) => callOfLog(log, this.#parts.digest) ?? []);
    this.#parts.count('logs', 'call', calls.length);
    this.#parts.count('logs', 'other', logs.length - calls.length);
    const owned = calls.flatMap((seen) => {
      const found = belongs(sender.tenant, seen, this.#memory, true);
      return found.kind === 'known' ? [{ seen, owner: found.owner }] : [];
    });
    return await this.#send(sender, owned);
  }

  /** What waits is recorded with what is known; what cannot be sent stays in the waiting room for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#sweeping;
    await this.#settle([...this.#waiting.keys()], 'stopping');
    await this.#parts.room.close();
  }

  #look(tenant: string, span: OtlpSpan): readonly SeenCall[] {
    if (isRecordedByTap(span)) {
      this.#parts.count('traces', 'recorded');
      return [];
    }
    const calls = callsOfSpan(span);
    if (calls.length === 0) this.#parts.count('traces', 'other');
    const tool = calls.find(({ callId }) => callId === span.spanId)?.call.tool;
    this.#memory.add(tenant, span, { ...belongingOf(span), tool });
    return calls;
  }

  #place(key: string, tenant: string, seen: SeenCall): Belongs | { readonly kind: 'recorded' } {
    const owner = this.#owners.get(key);
    if (owner !== undefined) return { kind: 'known', owner };
    if (this.#isRecorded(tenant, seen)) return { kind: 'recorded' };
    return belongs(tenant, seen, this.#memory, false);
  }

  #isRecorded(tenant: string, { place, call }: SeenCall): boolean {
    return place !== undefined && this.#parts.recorded.has(tenant, { ...place, tool: call.tool });
  }

  async #send(sender: Sender, calls: readonly OwnedCall[]): Promise<number> {
    if (calls.length === 0) return 0;
    // Before the events leave: a request whose answer is lost comes again.
    for (const { seen, owner } of calls) this.#owners.set(keyOf(sender.tenant, seen), owner);
    return await this.#parts.emit(sender, calls);
  }

  #remember(key: string, call: WaitingCall): void {
    if (this.#waiting.has(key)) return;
    this.#waiting.set(key, { ...call, sinceMs: this.#parts.clock.monotonicMs(), settling: false });
    this.#characters += charactersOf(call);
  }

  #forget(key: string): void {
    const call = this.#waiting.get(key);
    if (call !== undefined) this.#characters -= charactersOf(call);
    this.#waiting.delete(key);
  }

  /** How far the limits are used up: over 1 the oldest go on; it grows beyond that only while they cannot. */
  #overload(): number {
    return Math.max(
      this.#waiting.size / this.#parts.maxWaitingCalls,
      this.#characters / MAX_WAITING_CHARACTERS,
    );
  }

  /** The oldest calls beyond the limits. */
  #surplus(): readonly string[] {
    let over = this.#waiting.size - this.#parts.maxWaitingCalls;
    let characters = this.#characters;
    const keys: string[] = [];
    for (const [key, call] of this.#waiting) {
      if (over <= 0 && characters <= MAX_WAITING_CHARACTERS) break;
      keys.push(key);
      over -= 1;
      characters -= charactersOf(call);
    }
    return keys;
  }

  /** Calls of these traces that need not wait any longer, and the oldest beyond the limit. */
  async #settleReady(traces: ReadonlySet<string>): Promise<void> {
    const ready: string[] = [];
    for (const [key, { tenant, seen }] of this.#waiting) {
      if (seen.place === undefined || !traces.has(tenant + seen.place.traceId)) continue;
      if (belongs(tenant, seen, this.#memory, false).kind !== 'waits') ready.push(key);
    }
    await this.#settle(ready, 'resolved');
    await this.#settle(this.#surplus(), 'full');
  }

  /** Decides, writes the decision down, sends, and forgets, in this order. A failure leaves them for the next sweep. */
  async #settle(keys: readonly string[], reason: Release): Promise<boolean> {
    const calls = keys.flatMap((key) => {
      const call = this.#waiting.get(key);
      return call === undefined || call.settling ? [] : [[key, call] as const];
    });
    if (calls.length === 0) return true;
    for (const [, call] of calls) call.settling = true;
    try {
      await this.#settleAll(calls);
      this.#parts.released(reason, calls.length);
      return true;
    } catch (error) {
      this.#parts.log.warn({ err: error, calls: calls.length }, 'calls of OTLP spans wait for the bus');
      for (const [, call] of calls) call.settling = false;
      return false;
    }
  }

  async #settleAll(calls: readonly (readonly [key: string, call: Waits])[]): Promise<void> {
    const decided = calls.map(([key, call]) => [key, call, this.#decide(call)] as const);
    await this.#parts.room.put(
      decided.flatMap(([key, call, owner]) =>
        owner === undefined || call.owner !== undefined ? [] : [[key, { ...call, owner }]],
      ),
    );
    for (const [sender, owned] of bySender(decided)) await this.#send(sender, owned);
    const keys = calls.map(([key]) => key);
    await this.#parts.room.remove(keys);
    for (const key of keys) this.#forget(key);
  }

  /** Undefined for a call that is on record otherwise. */
  #decide({ tenant, seen, owner }: WaitingCall): Owner | undefined {
    if (owner !== undefined) return owner;
    if (this.#isRecorded(tenant, seen)) return undefined;
    const found = belongs(tenant, seen, this.#memory, true);
    return found.kind === 'known' ? found.owner : undefined;
  }

  /** One loop while calls wait. */
  #sweep(): void {
    if (this.#sweeping !== undefined || this.#waiting.size === 0) return;
    this.#sweeping = this.#sweepUntilEmpty().finally(() => {
      this.#sweeping = undefined;
    });
  }

  async #sweepUntilEmpty(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock, assemblyWaitMs } = this.#parts;
    let delayMs = Math.min(SWEEP_EVERY_MS, assemblyWaitMs);
    while (this.#waiting.size > 0) {
      await clock.sleep(delayMs, signal);
      if (signal.aborted) return;
      const before = clock.monotonicMs() - assemblyWaitMs;
      const due = [...this.#waiting].filter(([, call]) => call.owner !== undefined || call.sinceMs <= before);
      const settled = await this.#settle(
        due.map(([key]) => key),
        'waited',
      );
      delayMs = settled ? SWEEP_EVERY_MS : RETRY_AFTER_MS;
    }
  }
}

const COUNTED: Readonly<Record<Belongs['kind'] | 'recorded', ItemOutcome>> = {
  known: 'call',
  waits: 'waiting',
  nested: 'nested',
  recorded: 'recorded',
};

const charactersOf = ({ seen: { call } }: WaitingCall): number =>
  (call.args?.length ?? 0) + (call.result?.length ?? 0);

function keyOf(tenant: string, { place, callId }: SeenCall): string {
  return `${place?.traceId ?? ''}/${callId}/${tenant}`;
}

/** Calls of one sender together, those without an owner left out. */
function bySender(
  decided: readonly (readonly [key: string, call: Waits, owner: Owner | undefined])[],
): readonly (readonly [Sender, readonly OwnedCall[]])[] {
  const groups = new Map<string, { readonly sender: Sender; readonly calls: OwnedCall[] }>();
  for (const [, { tenant, origin, seen }, owner] of decided) {
    if (owner === undefined) continue;
    const key = `${tenant}\0${origin}`;
    const group = groups.get(key) ?? { sender: { tenant, origin }, calls: [] };
    groups.set(key, group);
    group.calls.push({ seen, owner });
  }
  return [...groups.values()].map(({ sender, calls }) => [sender, calls]);
}
