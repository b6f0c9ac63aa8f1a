/**
 * Step verify: reads the stored ledger again while it grows, and all of it now and then, against the signed heads. What it
 * finds is an alert, a metric and a field of /v1/ledger. It writes no table, and paces itself: it is never in a hurry.
 */
import { Counter, Gauge } from 'prom-client';
import { LEDGER_TOPICS, RECORD_GROUP } from '../../schemas/topics.ts';
import { verifyBundle, type VerifyReport } from '../evidence/verify.ts';
import { logOrigin } from '../evidence/origin.ts';
import { nodeCrypto, sha256 } from '../platform/ledger/crypto.ts';
import { exportPieces, type BundlePiece } from '../platform/ledger/export.ts';
import type { FoundFault, LedgerHealth } from '../platform/ledger/health.ts';
import { publishTamperAlert } from '../platform/ledger/tamper-alert.ts';
import { PayloadReader } from '../platform/payloads/read.ts';
import type { RunningStep, StepContext } from '../platform/step.ts';
import { Follower, type FollowedFault } from './follow.ts';
import type { SignedPartition, VerifiedSigner } from './ports.ts';

export interface RunningVerify extends RunningStep {
  ledger(): LedgerHealth;
}

const DEFAULT_TENANT = 'default';

/** Starts the step over the signer of this process, or of another one. */
export function startVerify(context: StepContext, signer: VerifiedSigner): RunningVerify {
  const verifier = new Verifier(context, signer);
  const loops = [verifier.follow(), verifier.sweep()];
  return {
    name: 'verify',
    health: () => verifier.health(),
    ledger: () => verifier.ledger(),
    stop: async () => {
      verifier.abort();
      await Promise.all(loops);
    },
  };
}

type Swept = Omit<LedgerHealth, 'faults' | 'state' | 'unreadEntries'>;
const NEVER_SWEPT: Swept = { sweptAtMs: null, sweptEntries: 0, gaps: 0, equivocations: 0, deadLetters: 0 };

class Verifier {
  readonly #context: StepContext;
  readonly #signer: VerifiedSigner;
  readonly #follower: Follower;
  readonly #metrics: Metrics;
  readonly #stop = new AbortController();
  /** By log: the alert of each was sent. */
  readonly #faults = new Map<string, FoundFault>();
  #unread = 0;
  #hasPassed = false;
  #swept: Swept = NEVER_SWEPT;

  constructor(context: StepContext, signer: VerifiedSigner) {
    this.#context = context;
    this.#signer = signer;
    this.#metrics = verifyMetrics(context);
    this.#follower = new Follower(
      { store: context.store, reader: new PayloadReader(context.store, context.keys) },
      nodeCrypto,
    );
  }

  abort(): void {
    this.#stop.abort();
  }

  /** A fault does not end readiness: whoever can write to the store must not be able to turn recording away with one row. */
  health() {
    const [fault] = this.#faults.values();
    if (fault === undefined) return { ready: true, detail: this.#hasPassed ? 'sound' : 'reading' };
    return { ready: true, detail: `${fault.code}: ${fault.log} index ${fault.index ?? ''}`.slice(0, 256) };
  }

  ledger(): LedgerHealth {
    const sound = this.#hasPassed ? 'sound' : 'unknown';
    return {
      state: this.#faults.size > 0 ? 'faulty' : sound,
      faults: [...this.#faults.values()],
      unreadEntries: this.#unread,
      ...this.#swept,
    };
  }

  async follow(): Promise<void> {
    const { everyMs, maxEntriesPerSecond } = this.#context.config.verify;
    const budget = Math.max(1, Math.floor((maxEntriesPerSecond * everyMs) / 1000));
    await this.#every(everyMs, everyMs, async () => {
      const partitions = await this.#signer.heads();
      const { read, unread, faults } = await this.#follower.pass(partitions, budget);
      this.#metrics.entries.inc({ how: 'follow' }, read);
      this.#metrics.unread.set(unread);
      this.#unread = unread;
      for (const fault of faults) await this.#found(ofLog(fault));
      await this.#measureLag(partitions);
      this.#hasPassed = true;
    });
  }

  async sweep(): Promise<void> {
    const { firstSweepAfterMs, sweepEveryMs } = this.#context.config.verify;
    await this.#every(firstSweepAfterMs, sweepEveryMs, async () => {
      const first = await this.#sweepOnce();
      // An erasure that began meanwhile takes bytes whose ERASURE entry the heads did not cover yet: the next heads do.
      const lacks = ['payload_missing', 'projection_missing'].includes(first.firstFault?.code ?? '');
      const report = lacks && !this.#stop.signal.aborted ? await this.#sweepOnce() : first;
      // What was cut off by our own end says nothing.
      if (this.#stop.signal.aborted) return;
      await this.#sweptAs(report);
    });
  }

  async #sweepOnce(): Promise<VerifyReport> {
    const { store, clock, config, keys } = this.#context;
    const { deployment } = config;
    const { signal } = this.#stop;
    const heads = this.#signer;
    const format = 'binary';
    const bundle = exportPieces(store, { deployment, nowMs: clock.nowMs(), heads, keys, signal, format });
    // The keys of the bundle are those that the signer named just now.
    return await verifyBundle(this.#paced(bundle), nodeCrypto);
  }

  async #sweptAs(report: VerifyReport): Promise<void> {
    const { firstFault } = report;
    if (firstFault === null) {
      this.#faults.clear();
      this.#follower.forgive();
      this.#metrics.faults.set(0);
    } else {
      await this.#found({ ...firstFault, log: firstFault.log ?? '' });
    }
    const atMs = this.#context.clock.nowMs();
    const { entries: sweptEntries, gapCount: gaps, equivocations, deadLetters } = report;
    this.#swept = { sweptAtMs: atMs, sweptEntries, gaps, equivocations, deadLetters };
    this.#metrics.entries.inc({ how: 'sweep' }, report.entries);
    this.#metrics.swept.set(atMs / 1000);
    this.#metrics.gaps.set(report.gapCount);
    this.#metrics.equivocations.set(report.equivocations);
  }

  /** Rows are handed on at the configured rate: a sweep takes what is left of the machine, not what there is. */
  async *#paced(bundle: AsyncIterable<BundlePiece>): AsyncGenerator<Uint8Array> {
    const { clock, config } = this.#context;
    for await (const { bytes, entries } of bundle) {
      yield bytes;
      if (entries === 0) continue;
      await clock.sleep((entries * 1000) / config.verify.maxEntriesPerSecond, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
    }
  }

  /** Told once a fault: the id of its alert is made of it, so that other processes and later lives tell nothing new. */
  async #found(fault: Omit<FoundFault, 'foundAtMs'>): Promise<void> {
    const known = this.#faults.get(fault.log);
    if (known !== undefined && known.code === fault.code && known.index === fault.index) return;
    const { bus, producer, clock, log } = this.#context;
    const { tenant, afterMs } = await this.#before(fault);
    await publishTamperAlert(bus, producer, { ...fault, tenant, afterMs });
    this.#faults.set(fault.log, { ...fault, foundAtMs: clock.nowMs() });
    this.#metrics.faults.set(this.#faults.size);
    log.error({ fault }, 'the ledger is not what was signed');
  }

  /** Whose log it is, as its rows say and its origin confirms; and when the last entry before the fault was appended. */
  async #before(fault: Omit<FoundFault, 'foundAtMs'>) {
    const { log, index, topic, partition } = fault;
    const rows = await this.#context.store.query<{ tenant: string; after: string }>(
      `SELECT tenant, toString(maxIf(append_ms, idx < {index:UInt64})) AS after FROM ledger
       WHERE topic = {topic:String} AND partition = {partition:UInt32} GROUP BY tenant`,
      { params: { index: index ?? 0, topic: topic ?? '', partition: partition ?? 0 } },
    );
    const { deployment } = this.#context.config;
    const own = rows.find(
      ({ tenant }) =>
        logOrigin({ deployment, tenant, topic: topic ?? '', partition: partition ?? 0 }, sha256) === log,
    );
    // An hour that no clock shows is one that somebody wrote.
    const afterMs = Math.min(Number(own?.after ?? 0), MAX_TIME_MS);
    return { tenant: own?.tenant ?? DEFAULT_TENANT, afterMs };
  }

  /** Records that wait to be entered, of each partition. */
  async #measureLag(partitions: readonly SignedPartition[]): Promise<void> {
    const { bus } = this.#context;
    for (const topic of LEDGER_TOPICS)
      for (const { partition, latest } of await bus.offsets(topic)) {
        const signed = partitions.find((at) => at.topic === topic && at.partition === partition);
        const committed = (await bus.committed(RECORD_GROUP, { topic, partition })) ?? 0;
        const done = Math.max(signed?.nextOffset ?? 0, committed);
        this.#metrics.lag.set({ topic, partition }, Math.max(0, latest - done));
      }
  }

  /** What cannot be read now is read the next time. */
  async #every(firstMs: number, ms: number, act: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#context;
    const { signal } = this.#stop;
    await clock.sleep(firstMs, signal);
    while (!signal.aborted) {
      await act().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error }, 'the ledger could not be verified now');
      });
      await clock.sleep(ms, signal);
    }
  }
}

/** End of the year 9999: later ones have no RFC 3339 form. */
const MAX_TIME_MS = 253_402_300_799_999;

function ofLog({ log, ...fault }: FollowedFault): Omit<FoundFault, 'foundAtMs'> {
  return { ...fault, log: log.origin };
}

type Metrics = ReturnType<typeof verifyMetrics>;

function verifyMetrics({ metrics }: StepContext) {
  const registers = [metrics];
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, registers, labelNames });
  return {
    entries: new Counter({
      name: 'tripline_verify_entries_total',
      help: 'Entries of the ledger that were read again, as they were signed (follow) or with everything (sweep).',
      labelNames: ['how'],
      registers,
    }),
    unread: gauge('tripline_verify_unread_entries', 'Signed entries that were not read again yet.'),
    faults: gauge(
      'tripline_ledger_faults',
      'Logs that are not what was signed. Anything above 0 is an alarm.',
    ),
    gaps: gauge('tripline_ledger_gaps', 'Runs of events that streams announced and that never came.'),
    equivocations: gauge('tripline_ledger_equivocations', 'Events that came with two contents.'),
    swept: gauge('tripline_verify_sweep_seconds', 'Unix time at which the last sweep ended.'),
    lag: gauge('tripline_record_lag_records', 'Records on the bus that are not in the ledger yet.', [
      'topic',
      'partition',
    ]),
  };
}
