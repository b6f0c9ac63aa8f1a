/**
 * Requests for approval of one data directory, and their answers: on disk, so that they outlive the host and are shared by its
 * taps. A grant is honoured only for a request that this directory raised, for the very call, within its time, and once: the
 * file `ID.used` is made exclusively, and is durable, before the call leaves. A crash in between costs an approval, never lets
 * one be used twice.
 *
 *     KEY-ID.request.json   what was asked, KEY from agent, server, tool and arguments
 *     ID.decision.json      the signed answer, and when it was first seen
 *     ID.used               it is used up
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import {
  zApprovalId,
  zSignedApproval,
  type ApprovalDecision,
  type SignedApproval,
} from '../../../schemas/approval/v1.ts';
import {
  answersCall,
  isWithinTime,
  type ApprovalVerification,
  type ApprovedCall,
} from '../../../schemas/approval/verify.ts';
import { zHex64, zName } from '../../../schemas/event/v1.ts';
import type { CaptureLog } from '../log.ts';

export interface DeskOptions {
  readonly directory: string;
  readonly verify: (signed: SignedApproval) => ApprovalVerification;
  readonly nowMs: () => number;
  readonly randomHex: (bytes: number) => string;
  /** From now on the answer to this request is wanted. */
  readonly watch: (id: string) => void;
  readonly unwatch: (id: string) => void;
  readonly log: CaptureLog;
}

export interface ApprovalQuestion extends Omit<ApprovedCall, 'id'> {
  /** How long it may be answered, ms. */
  readonly ttlMs: number;
  /** Who cannot be the one who grants. */
  readonly notBy: string | undefined;
}

export type Asked =
  /** Used up with this answer: the call may leave, now or never. */
  | { readonly kind: 'granted'; readonly decision: ApprovalDecision }
  | { readonly kind: 'denied'; readonly decision: ApprovalDecision }
  | { readonly kind: 'pending'; readonly id: string }
  /** Nothing could be written down, or too much is asked already. */
  | { readonly kind: 'failed' };

const zRequest = z.strictObject({
  id: zApprovalId,
  agent: zName,
  server: zName,
  tool: zName,
  argsHash: zHex64,
  ttlMs: z.number().int().min(0),
  askedAtMs: z.number(),
});
type Request = z.infer<typeof zRequest>;
const zAnswer = z.strictObject({ signed: zSignedApproval, firstSeenMs: z.number() });

/** Of one directory at once; more are not raised. */
const MAX_REQUESTS = 256;
/** After its end a request is kept for so long that no grant of it can still be within its time. */
const KEEP_MS = 2 * 86_400_000;
const MAX_BACKWARDS_MS = 1_000;
const REQUEST_SUFFIX = '.request.json';

export class ApprovalDesk {
  readonly #options: DeskOptions;
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Watches for the answers that an earlier life of this host waits for. */
  load(): void {
    this.#forgetOld();
    for (const request of this.#requests('')) {
      if (this.#isOpen(request) && this.#answer(request.id) === undefined) this.#options.watch(request.id);
    }
  }

  /** What holds of this call now; raises a request where nothing does. */
  ask(question: ApprovalQuestion): Asked {
    return this.known(question) ?? this.#raise(question);
  }

  /** As `ask`, and raises nothing. */
  known(question: ApprovalQuestion): Asked | undefined {
    let open: Asked | undefined;
    for (const request of this.#requests(keyOf(question))) {
      // The name of its file is a hash: the call itself is compared.
      const asked = isSameCall(question, request) ? this.#answerTo(request, question.notBy) : undefined;
      if (asked?.kind === 'granted') return asked;
      // A denial says more than that something waits.
      if (asked?.kind === 'denied') open = asked;
      else open ??= asked;
    }
    return open;
  }

  #answerTo(request: Request, notBy: string | undefined): Asked | undefined {
    const { id } = request;
    const answer = this.#answer(id);
    const isOpen = this.#isOpen(request);
    if (answer === undefined) {
      if (!isOpen) return undefined;
      // Another process of this host may have raised it.
      this.#options.watch(id);
      return { kind: 'pending', id };
    }
    const { decision, firstSeenMs } = answer;
    if (!answersCall(decision, request)) return undefined;
    if (decision.verdict === 'denied') return isOpen ? { kind: 'denied', decision } : undefined;
    // Whoever asks cannot answer; the service refuses it too.
    if (decision.by === notBy || !isWithinTime(decision, firstSeenMs, this.#options.nowMs()))
      return undefined;
    return this.#consume(id) ? { kind: 'granted', decision } : undefined;
  }

  /** Resolves when the request is answered, or after `waitMs`; ask again then. */
  async wait(id: string, waitMs: number): Promise<void> {
    if (this.#answer(id) !== undefined) return;
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting.get(id) ?? new Set();
      this.#waiting.set(id, waiting);
      const done = (): void => {
        clearTimeout(timer);
        waiting.delete(done);
        if (waiting.size === 0) this.#waiting.delete(id);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      waiting.add(done);
    });
  }

  /** One message of the channel: kept where a pinned key signed it and it answers a request of ours. */
  take(message: unknown): void {
    const signed = zSignedApproval.safeParse(message);
    if (!signed.success) return this.#options.log('warn', 'approval_rejected', { code: 'approval_invalid' });
    const verified = this.#options.verify(signed.data);
    if (verified.kind === 'invalid')
      return this.#options.log('error', 'approval_rejected', { code: verified.code });
    const { decision } = verified;
    const [request] = this.#requests('', `-${decision.id}`);
    if (request === undefined || !answersCall(decision, request))
      return this.#options.log('error', 'approval_rejected', { code: 'approval_invalid' });
    const answer = { signed: signed.data, firstSeenMs: this.#options.nowMs() };
    if (
      this.#answer(decision.id) === undefined &&
      this.#write(`${decision.id}.decision.json`, answer) === 'failed'
    )
      return;
    this.#options.unwatch(decision.id);
    for (const done of this.#waiting.get(decision.id) ?? []) done();
  }

  /** Nobody waits in vain. */
  stop(): void {
    for (const waiting of this.#waiting.values()) for (const done of waiting) done();
  }

  #isOpen({ askedAtMs, ttlMs }: Request): boolean {
    const nowMs = this.#options.nowMs();
    return nowMs < askedAtMs + ttlMs && nowMs >= askedAtMs - MAX_BACKWARDS_MS;
  }

  #raise(question: ApprovalQuestion): Asked {
    const { agent, server, tool, argsHash, ttlMs } = question;
    if (!this.#hasRoom()) return { kind: 'failed' };
    const id = `apr-${this.#options.randomHex(16)}`;
    const request: Request = { id, agent, server, tool, argsHash, ttlMs, askedAtMs: this.#options.nowMs() };
    if (this.#write(fileOf(request), request) !== 'written') return { kind: 'failed' };
    this.#options.watch(id);
    return { kind: 'pending', id };
  }

  /** Names are counted; files are read only where old ones may have to go. */
  #hasRoom(): boolean {
    const count = (): number => this.#names().filter((name) => name.endsWith(REQUEST_SUFFIX)).length;
    if (count() < MAX_REQUESTS) return true;
    this.#forgetOld();
    if (count() < MAX_REQUESTS) return true;
    this.#options.log('error', 'approvals_full', { requests: MAX_REQUESTS });
    return false;
  }

  /** The request goes first: without it no grant is honoured. */
  #forgetOld(): void {
    const nowMs = this.#options.nowMs();
    const old = this.#requests('').filter(({ askedAtMs, ttlMs }) => nowMs > askedAtMs + ttlMs + KEEP_MS);
    for (const request of old) {
      for (const name of [fileOf(request), `${request.id}.decision.json`, `${request.id}.used`])
        rmSync(path.join(this.#options.directory, name), { force: true });
      this.#options.unwatch(request.id);
    }
  }

  /** True for the one caller of all processes that may use it. */
  #consume(id: string): boolean {
    try {
      const used = openSync(path.join(this.#options.directory, `${id}.used`), 'wx', 0o600);
      fsyncSync(used);
      closeSync(used);
      this.#syncDirectory();
      return true;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST')
        this.#options.log('error', 'approval_not_used', { code: codeOf(error) });
      return false;
    }
  }

  /** Requests whose file name begins with `key` and ends with `id`. */
  #requests(key: string, id = ''): readonly Request[] {
    return this.#names()
      .filter((name) => name.startsWith(key) && name.endsWith(`${id}${REQUEST_SUFFIX}`))
      .flatMap((name) => {
        const parsed = zRequest.safeParse(this.#read(name));
        return parsed.success && name === fileOf(parsed.data) ? [parsed.data] : [];
      });
  }

  /** Verified anew: a file is no authority. */
  #answer(id: string): { readonly decision: ApprovalDecision; readonly firstSeenMs: number } | undefined {
    const parsed = zAnswer.safeParse(this.#read(`${id}.decision.json`));
    if (!parsed.success) return undefined;
    const verified = this.#options.verify(parsed.data.signed);
    if (verified.kind === 'invalid') return undefined;
    return { decision: verified.decision, firstSeenMs: parsed.data.firstSeenMs };
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#options.directory);
    } catch {
      return [];
    }
  }

  #read(name: string): unknown {
    try {
      return JSON.parse(readFileSync(path.join(this.#options.directory, name), 'utf8')) as unknown;
    } catch {
      return undefined;
    }
  }

  /** Whole and durable under its name, or not at all; the first of several writers wins. */
  #write(name: string, value: unknown): 'written' | 'exists' | 'failed' {
    const { directory, randomHex, log } = this.#options;
    const temporary = path.join(directory, `${randomHex(8)}.tmp`);
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      writeFileSync(temporary, JSON.stringify(value), { mode: 0o600, flush: true });
      linkSync(temporary, path.join(directory, name));
      this.#syncDirectory();
      return 'written';
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return 'exists';
      log('error', 'approval_not_kept', { code: codeOf(error) });
      return 'failed';
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  #syncDirectory(): void {
    // Windows opens no directories; its file systems keep names by themselves.
    if (process.platform === 'win32') return;
    const directory = openSync(this.#options.directory, 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';

const fileOf = (request: ApprovedCall): string => `${keyOf(request)}-${request.id}${REQUEST_SUFFIX}`;

function keyOf({ agent, server, tool, argsHash }: Omit<ApprovedCall, 'id'>): string {
  const of = JSON.stringify(['tripline/approval-key/v1', agent, server, tool, argsHash]);
  return createHash('sha256').update(of).digest('hex').slice(0, 32);
}

function isSameCall(left: Omit<ApprovedCall, 'id'>, right: Omit<ApprovedCall, 'id'>): boolean {
  return (
    left.agent === right.agent &&
    left.server === right.server &&
    left.tool === right.tool &&
    left.argsHash === right.argsHash
  );
}
