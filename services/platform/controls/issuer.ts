/**
 * Sets and lifts controls. Order of every change: take in the topic, give the next version, sign, append (durable), then
 * push, audit event, row. A crash before the append changes nothing; a crash after it leaves a control that is in force
 * and whose audit event and row `reconcile` makes good at the next start.
 */
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Role } from '../../../schemas/config/v1.ts';
import { zControl, type Control, type ControlRequest } from '../../../schemas/control/v1.ts';
import { isCoherent } from '../../../schemas/control/verify.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { TOOL_CLASSES } from '../../../schemas/event/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { BusProducer } from '../bus/port.ts';
import type { Clock } from '../clock.ts';
import type { AuditTrail, RandomBytes } from '../step.ts';
import type { Store } from '../store/port.ts';
import type { ControlBoard, HeldControl } from './board.ts';
import type { ControlKey } from './key.ts';
import { encodeControlMessage, signControl } from './message.ts';
import { createSettlement, type Change, type Settlement } from './settlement.ts';

/** Who asks: an API key, or a step of the service itself. */
export interface ControlPrincipal {
  readonly id: string;
  /** `*` for a principal of the whole deployment. */
  readonly tenant: string;
  readonly role: Role;
}

export interface SetControl extends ControlRequest {
  /** Whose; default: the principal's own, `default` for a principal of all tenants. */
  readonly tenant?: string | undefined;
  /** A repeat with the same id is answered with what the first one made. Default: random. */
  readonly id?: string | undefined;
  readonly alertId?: string | undefined;
}

export interface ControlIssuer {
  /**
   * Answers the control once it is durable on the topic and its audit event too. Errors: auth_forbidden (tenant or
   * scope), control_invalid (with path), conflict (the id is taken by another request), and those of the bus: then the
   * outcome is unknown, and a repeat with the same id is safe.
   */
  set(request: SetControl, principal: ControlPrincipal): Promise<HeldControl>;
  /** Idempotent. Errors: not_found (also for another tenant's), auth_forbidden, conflict (it is over, or changed meanwhile). */
  lift(id: string, reason: string, principal: ControlPrincipal): Promise<HeldControl>;
  /**
   * Audit events and rows of changes issued more than `minAgeMs` ago that a crash left without them; answers how many
   * were made good. The age keeps it from changes that another process is about to finish.
   */
  reconcile(minAgeMs: number): Promise<number>;
  /** Resolves when no change and no row is under way. */
  drain(): Promise<void>;
}

export interface ControlIssuerOptions {
  readonly board: ControlBoard;
  readonly key: ControlKey;
  readonly producer: BusProducer;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly log: Logger;
}

const CONTROLS_PARTITION = 0;
export const MIN_TTL_MS = 1000;
export const MAX_TTL_MS = 365 * 86_400_000;
const ALL_TENANTS = '*';
const DEFAULT_TENANT = 'default';

export function createControlIssuer(options: ControlIssuerOptions): ControlIssuer {
  return new Issuer(options);
}

/** Id of the control that a repeated request of one principal's tenant maps to. `key` is attacker-controlled: only its hash is used. */
export function controlIdOfRequest(tenant: string, key: string): string {
  const hash = createHash('sha256').update(JSON.stringify(['tripline/control-id/v1', tenant, key]));
  return `ctl-${hash.digest('hex').slice(0, 32)}`;
}

class Issuer implements ControlIssuer {
  readonly #options: ControlIssuerOptions;
  readonly #settlement: Settlement;
  /** By signature: changes whose send was not answered. As many as sends that failed. */
  readonly #unsettled = new Map<string, Pick<Change, 'action' | 'principal'>>();
  /** One change at a time: the version is read and used up under it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ControlIssuerOptions) {
    this.#options = options;
    this.#settlement = createSettlement(options);
  }

  set(request: SetControl, principal: ControlPrincipal): Promise<HeldControl> {
    return this.#serially(async () => {
      const wanted = this.#build(request, principal);
      await this.#options.board.catchUp();
      const held = this.#options.board.get(wanted.id);
      if (held !== undefined) return this.#repeat(held, wanted);
      return this.#publish('control.set', wanted, principal);
    });
  }

  lift(id: string, reason: string, principal: ControlPrincipal): Promise<HeldControl> {
    return this.#serially(async () => {
      await this.#options.board.catchUp();
      const held = this.#options.board.get(id);
      if (held === undefined || !sees(principal, held.control.tenant))
        throw new TriplineError('not_found', 'there is no such control');
      requireGlobalRight(held.control.scope, principal);
      const { control } = held;
      if (control.state === 'lifted') return this.#repeat(held, control);
      const nowMs = this.#options.clock.nowMs();
      if (nowMs >= Date.parse(control.expiresAt))
        throw new TriplineError('conflict', 'the control is already over');
      const lifted = {
        ...control,
        state: 'lifted',
        reason,
        issuedBy: principal.id,
        issuedAt: toTime(nowMs),
      } as const;
      return this.#publish('control.lift', lifted, principal);
    });
  }

  reconcile(minAgeMs: number): Promise<number> {
    return this.#serially(async () => {
      await this.#options.board.catchUp();
      const untilMs = this.#options.clock.nowMs() - minAgeMs;
      const old = this.#options.board.list().filter(({ control }) => Date.parse(control.issuedAt) <= untilMs);
      return this.#settlement.reconcile(old);
    });
  }

  async drain(): Promise<void> {
    await this.#last;
    await this.#settlement.drain();
  }

  async #repeat(held: HeldControl, wanted: Control): Promise<HeldControl> {
    const { control } = held;
    const isSame =
      control.tenant === wanted.tenant && control.scope === wanted.scope && control.target === wanted.target;
    if (!isSame) throw new TriplineError('conflict', 'the control id is taken by another request');
    const unsettled = this.#unsettled.get(held.signed.signature);
    this.#unsettled.delete(held.signed.signature);
    if (unsettled !== undefined) await this.#settlement.settle({ ...unsettled, held });
    else await this.#settlement.settlePending(held);
    return held;
  }

  async #publish(
    action: Change['action'],
    unversioned: Control,
    principal: ControlPrincipal,
  ): Promise<HeldControl> {
    const { board, key, producer } = this.#options;
    const control = checked({ ...unversioned, version: board.newestVersion() + 1 });
    const signed = signControl(control, key);
    const message = encodeControlMessage(control, signed);
    // Should the send fail with its outcome unknown, a repeat that finds the control on the topic settles it.
    this.#unsettled.set(signed.signature, { action, principal });
    const sent = await producer.send(TOPICS.controls.name, CONTROLS_PARTITION, [message]);
    this.#unsettled.delete(signed.signature);
    await board.acceptAppended(signed, sent.baseOffset);
    const held = board.get(control.id);
    if (held?.signed.signature !== signed.signature) {
      // Another process changed this control between our look and our append; the topic's order decided for it.
      if (action === 'control.set' && held !== undefined) return held;
      throw new TriplineError('conflict', 'the control was changed meanwhile');
    }
    await this.#settlement.settle({ action, held, principal });
    return held;
  }

  /** The control that the request asks for, with version 0: given at publication. */
  #build(request: SetControl, principal: ControlPrincipal): Control {
    requireGlobalRight(request.scope, principal);
    const tenant = tenantOf(request, principal);
    if (request.ttlMs < MIN_TTL_MS || request.ttlMs > MAX_TTL_MS)
      throw new TriplineError('control_invalid', `ttlMs must be ${MIN_TTL_MS}-${MAX_TTL_MS}`, {
        path: 'ttlMs',
      });
    const nowMs = this.#options.clock.nowMs();
    return {
      v: 1,
      id: request.id ?? `ctl-${Buffer.from(this.#options.randomBytes(16)).toString('hex')}`,
      version: 0,
      tenant,
      scope: request.scope,
      target: targetOf(request, tenant),
      mode: request.mode,
      state: 'set',
      reason: request.reason,
      issuedBy: principal.id,
      issuedAt: toTime(nowMs),
      expiresAt: toTime(nowMs + request.ttlMs),
      ...(request.alertId === undefined ? {} : { alertId: request.alertId }),
    };
  }

  #serially<Result>(change: () => Promise<Result>): Promise<Result> {
    const running = this.#last.then(change);
    this.#last = running.catch(() => undefined);
    return running;
  }
}

function requireGlobalRight(scope: Control['scope'], principal: ControlPrincipal): void {
  if (scope !== 'global') return;
  if (principal.role !== 'admin' || principal.tenant !== ALL_TENANTS)
    throw new TriplineError('auth_forbidden', 'only an admin of all tenants changes a global control', {
      path: 'scope',
    });
}

function sees(principal: ControlPrincipal, tenant: string): boolean {
  return principal.tenant === ALL_TENANTS || principal.tenant === tenant;
}

function tenantOf(request: SetControl, principal: ControlPrincipal): string {
  if (request.scope === 'global') return ALL_TENANTS;
  const own = principal.tenant === ALL_TENANTS ? DEFAULT_TENANT : principal.tenant;
  const tenant = request.tenant ?? own;
  if (!sees(principal, tenant))
    throw new TriplineError('auth_forbidden', 'the tenant is not yours', { path: 'tenant' });
  if (tenant === ALL_TENANTS)
    throw new TriplineError('control_invalid', 'only scope global covers all tenants', { path: 'tenant' });
  return tenant;
}

function targetOf(request: SetControl, tenant: string): string {
  const { scope, target } = request;
  if (scope === 'global' || scope === 'tenant') {
    if (target === undefined || target === '*' || target === tenant) return '*';
    throw new TriplineError('control_invalid', `scope ${scope} takes no target`, { path: 'target' });
  }
  if (target === undefined)
    throw new TriplineError('control_invalid', `scope ${scope} needs a target`, { path: 'target' });
  // A class that does not exist would be a kill that stops nothing.
  if (scope === 'class' && !TOOL_CLASSES.some((known) => known === target))
    throw new TriplineError('control_invalid', 'there is no such tool class', { path: 'target' });
  return target;
}

/** Never sign what a host would refuse. */
function checked(control: Control): Control {
  const parsed = zControl.safeParse(control);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new TriplineError('control_invalid', issue?.message, { path: issue?.path.join('.') ?? '' });
  }
  if (!isCoherent(parsed.data)) throw new TriplineError('control_invalid', undefined, { path: 'tenant' });
  return parsed.data;
}

function toTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
