/** One verification: the lines of a bundle in their order, what came of them, and the verdict. */
import { isTriplineError, TriplineError } from '../../schemas/errors.ts';
import { BatchSignatures } from './batch-signature.ts';
import {
  isRootLine,
  type BundleHead,
  type BundleHeader,
  type BundleLine,
  type BundleLog,
  type BundleStray,
} from './bundle.ts';
import type { EvidenceCrypto } from './bytes.ts';
import type { VerifiedLog } from './depth.ts';
import { logOrigin } from './origin.ts';
import { ProducerTally } from './producer-tally.ts';
import { classMappings, type ClassMappingVersion } from './projection.ts';
import {
  faultOf as fault,
  FaultFound,
  VERDICT_EXIT_CODES,
  type Fault,
  type FaultCode,
  type LogReport,
  type OpenGap,
  type Verdict,
  type VerifyReport,
} from './report.ts';
import { Erasures } from './verify-erasures.ts';
import { SignedHeads } from './verify-heads.ts';
import type { KnownHead } from './log-settings.ts';
import { LogVerifier } from './verify-log.ts';
import type { VerifyOptions } from './verify-options.ts';
import { RootVerifier } from './verify-root.ts';

const MAX_LISTED_GAPS = 100;
const PROGRESS_EVERY = 4096;

export class BundleRun {
  readonly #crypto: EvidenceCrypto;
  readonly #options: VerifyOptions;
  readonly #signatures: BatchSignatures;
  readonly #tally: ProducerTally;
  #header: BundleHeader | undefined;
  #root: RootVerifier | undefined;
  #unwitnessed = 0;
  #log: LogVerifier | undefined;
  #lastLogId = '';
  #ended = false;
  #entries = 0;
  #pending = 0;
  #gapCount = 0;
  #mappings: ReadonlyMap<string, ClassMappingVersion> = new Map();
  readonly #heads: SignedHeads;
  readonly #logs: LogReport[] = [];
  readonly #gaps: OpenGap[] = [];
  readonly #erasures = new Erasures();
  readonly #counts = { equivocations: 0, deadLetters: 0, classesNotDerived: 0, policiesNotProjected: 0 };
  readonly #shallow = { sampledOut: 0, resumed: 0 };
  readonly #verified: VerifiedLog[] = [];
  readonly #known: readonly KnownHead[];

  constructor(crypto: EvidenceCrypto, options: VerifyOptions) {
    this.#crypto = crypto;
    this.#options = options;
    this.#known = [...(options.knownHeads ?? []), ...(options.resume ?? [])];
    this.#heads = new SignedHeads(crypto, options);
    this.#signatures = new BatchSignatures(crypto);
    this.#tally = new ProducerTally(crypto.sha256, options.trustedProducers);
  }

  take(line: BundleLine): void {
    if (isRootLine(line)) return this.root().take(line);
    switch (line.type) {
      case 'header':
        return this.begin(line);
      case 'log':
        return this.openLog(line);
      case 'rows':
        this.log().accept(line);
        return this.progress();
      case 'stray':
        return this.stray(line);
      case 'end':
        return this.end(line.pending);
    }
  }

  begin(header: BundleHeader): void {
    if (this.#header !== undefined) throw new TriplineError('export_invalid', 'the bundle has two headers');
    this.#header = header;
    this.#mappings = classMappings(header.mappings, this.#crypto.sha256);
    const { publicKeys, rotations } = this.#heads.trust(header);
    this.#root = new RootVerifier({
      deployment: header.deployment,
      crypto: this.#crypto,
      publicKeys,
      rotations,
      policy: this.#options.policy,
      kept: this.#options.keptCheckpoint,
      stampCheck: this.#options.stampCheck,
      whole: isWhole(header),
    });
    this.#heads.take(header.heads);
  }

  /** Before the first log: what comes later is no part of the root log that its heads are compared with. */
  root(): RootVerifier {
    if (this.#root === undefined || this.#log !== undefined || this.#lastLogId !== '')
      throw new TriplineError('export_invalid', 'the root log stands outside its place');
    return this.#root;
  }

  openLog(log: BundleLog): void {
    this.#closeLog();
    const header = this.#need();
    this.#root?.finish();
    if (log.logId <= this.#lastLogId) throw new TriplineError('export_invalid', 'the logs are not in order');
    this.#lastLogId = log.logId;
    this.#log = new LogVerifier(log, {
      deployment: header.deployment,
      partial: header.partial,
      crypto: this.#crypto,
      mappings: this.#mappings,
      heads: this.#heads.of(log.logId),
      known: this.#known.filter((head) => head.logId === log.logId),
      depth: {
        sample: this.#options.sample,
        below: this.#options.resume?.find((one) => one.logId === log.logId)?.size ?? 0,
      },
      claims: this.#root?.claimsFor(log.logId),
      witnessedSize: this.#root?.witnessedSize() ?? 0,
      signatures: this.#signatures,
      tally: this.#tally,
    });
  }

  log(): LogVerifier {
    if (this.#log === undefined) throw new TriplineError('export_invalid', 'rows stand outside a log');
    return this.#log;
  }

  /** No log may hold it: the place is what the row itself says. Throws. */
  stray(row: BundleStray): never {
    this.#closeLog();
    const { topic, partition, offset, session } = row;
    const log = this.#heads.of(row.logId)[0]?.origin ?? row.logId;
    throw fault('row_unsigned', {
      log,
      index: row.idx,
      topic,
      partition,
      offset,
      session,
      detail: row.table,
    });
  }

  progress(): void {
    this.#entries += 1;
    if (this.#entries % PROGRESS_EVERY === 0)
      this.#options.onProgress?.(this.#entries, () => this.#verifiedSoFar());
  }

  #verifiedSoFar(): readonly VerifiedLog[] {
    const now = this.#log?.progress;
    return now === undefined ? this.#verified : [...this.#verified, now];
  }

  end(pending: number): void {
    this.#closeLog();
    this.#ended = true;
    this.#pending = pending;
  }

  /** Every signed log must have been there, and the stream must have been whole. */
  finish(): void {
    const header = this.#need();
    this.#options.onProgress?.(this.#entries, () => this.#verifiedSoFar());
    // Before the log is closed: rows that are not there were cut off, which is not yet a log that lacks them.
    if (!this.#ended) throw fault('bundle_truncated', { log: this.#log?.origin ?? null });
    const lacking = this.#erasures.uncovered();
    if (lacking !== undefined) throw new FaultFound(lacking);
    this.#root?.finish();
    if (!header.partial) this.#expectLogs(header);
    if (isWhole(header)) this.#expectClaims();
    this.#expectKnown();
  }

  #expectKnown(): void {
    for (const known of this.#known) {
      if (!this.#heads.has(known.logId)) throw fault('known_head_differs', { detail: known.logId });
    }
  }

  #expectLogs(header: BundleHeader): void {
    const seen = new Set(this.#logs.map((log) => log.origin));
    for (const [head] of this.#heads.logs()) {
      if (head === undefined || head.size === 0 || seen.has(head.origin)) continue;
      if (this.#isAsked(head, header)) throw fault('log_missing', { log: head.origin, index: 0 });
    }
  }

  /** A log that the root log knows must be signed for as well, or it was taken out whole. */
  #expectClaims(): void {
    const witnessed = this.#root?.witnessedSize() ?? 0;
    for (const [id, { origin, heads }] of this.#root?.claims() ?? []) {
      if (this.#heads.has(id)) continue;
      const isWitnessed = heads.some(({ index }) => index < witnessed);
      throw fault(isWitnessed ? 'witnessed_head_differs' : 'root_head_differs', { log: origin, index: 0 });
    }
  }

  /** A bundle of one tenant shows the signed heads of all, and the logs of that one. */
  #isAsked(head: BundleHead, header: BundleHeader): boolean {
    const tenant = header.filter['tenant'];
    if (tenant === undefined) return true;
    const place = head.origin.split('/').slice(-2);
    const name = { tenant, topic: place[0] ?? '', partition: Number(place[1]) };
    return head.origin === logOrigin({ deployment: header.deployment, ...name }, this.#crypto.sha256);
  }

  #closeLog(): void {
    if (this.#ended) throw new TriplineError('export_invalid', 'the bundle goes on after its end');
    const log = this.#log;
    if (log === undefined) return;
    this.#log = undefined;
    this.#logs.push(log.finish());
    this.#erasures.take(log);
    const verified = log.progress;
    if (verified !== undefined) this.#verified.push(verified);
    this.#count(log);
  }

  #count(log: LogVerifier): void {
    this.#unwitnessed += log.unwitnessed;
    this.#counts.equivocations += log.counts.equivocations;
    this.#counts.deadLetters += log.counts.deadLetters;
    this.#counts.classesNotDerived += log.counts.classesNotDerived;
    this.#counts.policiesNotProjected += log.counts.policiesNotProjected;
    this.#shallow.sampledOut += log.counts.sampledOut;
    this.#shallow.resumed += log.counts.resumed;
    for (const gap of log.gaps()) {
      this.#gapCount += 1;
      if (this.#gaps.length < MAX_LISTED_GAPS) this.#gaps.push(gap);
    }
  }

  #need(): BundleHeader {
    if (this.#header === undefined) throw new TriplineError('export_invalid', 'the bundle has no header');
    return this.#header;
  }

  /** What was a bundle and then stopped being one was changed by somebody: a finding, as an altered row is. */
  malformed(error: unknown): Fault | undefined {
    if (this.#header === undefined || !isTriplineError(error, 'export_invalid')) return undefined;
    const detail = error.path === undefined ? error.message : `${error.message}: ${error.path}`;
    return fault('bundle_malformed', { log: this.#log?.origin ?? null, detail }).fault;
  }

  report(firstFault: Fault | null): VerifyReport {
    const witness = this.#root?.report(this.#unwitnessed) ?? null;
    const isWitnessed = witness?.quorum === true && this.#unwitnessed === 0;
    const losses = this.#root?.losses() ?? 0;
    const missing = this.#gapCount + this.#tally.openEndCount + losses;
    const verdict = verdictOf(firstFault, missing, isWitnessed);
    return {
      verdict,
      exitCode: VERDICT_EXIT_CODES[verdict],
      entries: this.#entries,
      logs: this.#logs,
      firstFault,
      gaps: this.#gaps,
      gapCount: this.#gapCount,
      losses,
      ...this.#counts,
      erased: this.#erasures.covered,
      erasures: this.#erasures.entries,
      pending: this.#pending,
      shallow: { sample: this.#options.sample ?? null, ...this.#shallow },
      ...scopeOf(this.#header),
      keysPinned: this.#heads.pinned() !== undefined,
      ...rootReports(this.#root),
      witness,
      producers: this.#tally.report(this.#header?.partial === false),
    };
  }
}

function scopeOf(header: BundleHeader | undefined): Pick<VerifyReport, 'filter' | 'partial'> {
  return { partial: header?.partial ?? false, filter: header?.filter ?? {} };
}

function rootReports(root: RootVerifier | undefined): Pick<VerifyReport, 'notBefore' | 'timestamps'> {
  return { notBefore: root?.notBefore() ?? null, timestamps: root?.timestamps() ?? null };
}

/** A bundle of everything. */
function isWhole({ partial, filter }: BundleHeader): boolean {
  return !partial && Object.keys(filter).length === 0;
}

const DIVERGES: readonly FaultCode[] = ['known_head_differs', 'witnessed_head_differs'];

function verdictOf(firstFault: Fault | null, gaps: number, isWitnessed: boolean): Verdict {
  if (firstFault !== null && DIVERGES.includes(firstFault.code)) return 'diverges';
  if (firstFault?.code === 'bundle_truncated') return 'incomplete';
  if (firstFault !== null) return 'invalid';
  if (gaps > 0) return 'incomplete';
  return isWitnessed ? 'verified_witnessed' : 'verified';
}
