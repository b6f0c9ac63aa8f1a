/**
 * Answers a request for approval. Order: look at the request as the ledger holds it → audit event, durable → sign → append to
 * topic approvals, durable → hosts are told. The audit event comes first: no grant is ever in force that is not on record; a
 * crash behind it leaves a grant on record that no host hears of, and it is given again.
 */
import type { Logger } from 'pino';
import { APPROVAL_SIGNATURE_DOMAIN, type ApprovalDecision } from '../../../schemas/approval/v1.ts';
import type { AuditBody } from '../../../schemas/audit/v1.ts';
import { signingBytes } from '../../../schemas/control/verify.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { BusProducer } from '../bus/port.ts';
import type { Clock } from '../clock.ts';
import type { ControlPrincipal } from '../controls/issuer.ts';
import type { ControlKey } from '../controls/key.ts';
import type { AuditTrail } from '../step.ts';
import type { Store } from '../store/port.ts';
import { encodeApproval, type Approvals, type HeldApproval } from './board.ts';
import type { SubjectKeys } from '../payloads/keys.ts';
import { grantObstacle, OBSTACLE_TEXTS } from './obstacle.ts';
import { readApprovalRequests, type ApprovalRequest } from './requests.ts';

export interface Answer {
  readonly id: string;
  /** Whose; `*` where any tenant's may be meant. */
  readonly tenant: string;
  readonly verdict: ApprovalDecision['verdict'];
  readonly reason: string;
  /** Of the arguments that the approver was shown; a denial needs none. */
  readonly argsHash?: string;
  readonly ttlMs: number;
}

export interface Answered extends HeldApproval {
  readonly request: ApprovalRequest;
}

export interface ApprovalIssuer {
  /**
   * Answers once the decision is durable and hosts are being told. A repeat by the same principal is answered with what there
   * is. Errors: not_found (also another tenant's), conflict (answered otherwise, too late, other arguments than shown, not as
   * the host hashed them), auth_forbidden (four eyes), and those of store and bus: then the outcome is unknown, ask again.
   */
  answer(wanted: Answer, principal: ControlPrincipal): Promise<Answered>;
}

export interface ApprovalIssuerOptions {
  readonly approvals: Approvals;
  readonly key: ControlKey;
  readonly store: Store;
  /** Of sealed payloads. */
  readonly keys?: SubjectKeys | undefined;
  readonly producer: BusProducer;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
}

const PARTITION = 0;
/** As long as a request may be answered at most. */
export const REQUESTS_SINCE_MS = 8 * 86_400_000;

export function createApprovalIssuer(options: ApprovalIssuerOptions): ApprovalIssuer {
  return new Issuer(options);
}

class Issuer implements ApprovalIssuer {
  readonly #options: ApprovalIssuerOptions;
  /** One at a time: of two answers to one request the second is to see the first. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ApprovalIssuerOptions) {
    this.#options = options;
  }

  answer(wanted: Answer, principal: ControlPrincipal): Promise<Answered> {
    const running = this.#last.then(() => this.#answer(wanted, principal));
    this.#last = running.catch(() => undefined);
    return running;
  }

  async #answer(wanted: Answer, principal: ControlPrincipal): Promise<Answered> {
    const { approvals, clock } = this.#options;
    const request = await this.#request(wanted);
    await approvals.catchUp();
    const held = approvals.get(request.tenant, request.id);
    if (held !== undefined) return { ...this.#repeated(held, wanted, principal), request };
    const nowMs = clock.nowMs();
    if (nowMs >= request.answerableUntilMs) throw new TriplineError('conflict', 'the request is over');
    if (wanted.verdict === 'granted') this.#mayGrant(request, wanted, principal);
    const decision = decisionOf(request, { wanted, principal, nowMs });
    await this.#audit(principal, decision, 'ok');
    return { ...(await this.#publish(decision, principal)), request };
  }

  async #request({ id, tenant }: Answer): Promise<ApprovalRequest> {
    const { store, keys, clock } = this.#options;
    const sinceMs = clock.nowMs() - REQUESTS_SINCE_MS;
    const found: ApprovalRequest[] = [];
    for await (const { request } of readApprovalRequests(store, { keys, id, tenant, sinceMs }))
      if (request !== undefined) found.push(request);
    const [request] = found;
    if (request === undefined) throw new TriplineError('not_found', 'there is no such request for approval');
    if (found.length > 1)
      throw new TriplineError('conflict', 'several tenants have this request; name one', { path: 'tenant' });
    return request;
  }

  #repeated(held: HeldApproval, wanted: Answer, principal: ControlPrincipal): HeldApproval {
    const { decision } = held;
    if (decision.verdict === wanted.verdict && decision.by === principal.id) return held;
    throw new TriplineError('conflict', `the request was ${decision.verdict} by ${decision.by}`);
  }

  #mayGrant(request: ApprovalRequest, wanted: Answer, principal: ControlPrincipal): void {
    const obstacle = grantObstacle(request, principal.id);
    if (obstacle === 'arguments_altered') throw new TriplineError('conflict', OBSTACLE_TEXTS[obstacle]);
    if (wanted.argsHash !== request.argsHash)
      throw new TriplineError('conflict', 'these are not the arguments of the request', { path: 'argsHash' });
    if (obstacle !== undefined) throw new TriplineError('auth_forbidden', OBSTACLE_TEXTS[obstacle]);
  }

  async #publish(decision: ApprovalDecision, principal: ControlPrincipal): Promise<HeldApproval> {
    const { approvals, key, producer, log } = this.#options;
    const payload = Buffer.from(JSON.stringify(decision), 'utf8');
    const signed = {
      payload: payload.toString('base64'),
      keyId: key.keyId,
      signature: Buffer.from(key.sign(signingBytes(APPROVAL_SIGNATURE_DOMAIN, payload))).toString('base64'),
    };
    try {
      await producer.send(TOPICS.approvals.name, PARTITION, [encodeApproval({ decision, signed })]);
    } catch (error) {
      await this.#audit(principal, decision, 'failed').catch((cause: unknown) =>
        log.error({ err: cause, approvalId: decision.id }, 'failed approval not audited'),
      );
      throw error;
    }
    await approvals.catchUp();
    const held = approvals.get(decision.tenant, decision.id);
    if (held?.signed.signature === signed.signature) return held;
    // Another process answered between our look and our append; the topic's order decided for it.
    await this.#audit(principal, decision, 'failed');
    throw new TriplineError('conflict', 'the request was answered meanwhile');
  }

  async #audit(
    principal: ControlPrincipal,
    decision: ApprovalDecision,
    outcome: AuditBody['outcome'],
  ): Promise<void> {
    const { id, tenant, verdict, agent, server, tool, argsHash, expiresAt, reason } = decision;
    await this.#options.audit.record(tenant, {
      action: verdict === 'granted' ? 'approval.grant' : 'approval.deny',
      actor: principal.id,
      role: principal.role,
      target: id,
      reason,
      outcome,
      details: { agent, server, tool, argsHash, expiresAt },
    });
  }
}

function decisionOf(
  request: ApprovalRequest,
  of: { readonly wanted: Answer; readonly principal: ControlPrincipal; readonly nowMs: number },
): ApprovalDecision {
  const { id, tenant, agent, server, tool, argsHash } = request;
  const { wanted, principal, nowMs } = of;
  return {
    v: 1,
    id,
    tenant,
    verdict: wanted.verdict,
    agent,
    server,
    tool,
    argsHash,
    by: principal.id,
    reason: wanted.reason,
    issuedAt: new Date(nowMs).toISOString(),
    expiresAt: new Date(nowMs + wanted.ttlMs).toISOString(),
  };
}
