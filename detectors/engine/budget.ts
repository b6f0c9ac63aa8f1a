/**
 * How many states may be held, in all and for one tenant. Keys are attacker-controlled: when the budget is spent, states
 * that hold first steps only go before those that got further, and a tenant pays with its own.
 */
import { Queue, type Queued } from './queue.ts';

/** State of one key, of one rule or of all simple rules. */
export interface Held extends Queued {
  readonly tenant: string;
  advanced: boolean;
}

interface TenantStates<State extends Held> {
  /** In order of admission. */
  readonly fresh: Queue<State>;
  readonly advanced: Queue<State>;
}

export class Budget<State extends Held> {
  private readonly maxStates: number;
  private readonly maxPerTenant: number;
  private readonly tenants = new Map<string, TenantStates<State>>();
  size = 0;

  constructor(maxStates: number, maxPerTenant: number) {
    this.maxStates = maxStates;
    this.maxPerTenant = maxPerTenant;
  }

  /** Counts a state in; answers the one that had to go for it (already counted out). */
  add(state: State): State | undefined {
    const own = this.statesOf(state.tenant);
    const victims = this.victims(own);
    const evicted = victims === undefined ? undefined : (oldestOf(victims) ?? undefined);
    if (evicted !== undefined) this.remove(evicted);
    // Taken again: it may have been dropped together with its last state.
    const target = this.statesOf(state.tenant);
    (state.advanced ? target.advanced : target.fresh).add(state);
    this.size++;
    return evicted;
  }

  remove(state: State): void {
    const own = this.tenants.get(state.tenant);
    if (own === undefined) return;
    if (own.fresh.delete(state) || own.advanced.delete(state)) this.size--;
    if (own.fresh.size + own.advanced.size === 0) this.tenants.delete(state.tenant);
  }

  /** The state's `advanced` has changed. */
  move(state: State): void {
    const own = this.tenants.get(state.tenant);
    if (own === undefined) return;
    if (state.advanced ? own.fresh.delete(state) : own.advanced.delete(state)) {
      (state.advanced ? own.advanced : own.fresh).add(state);
    }
  }

  /** All states, tenant by tenant, each one's in the order in which they would be given up. Added anew in this order they stand as they do now. */
  *inOrder(): Generator<State> {
    for (const own of this.tenants.values()) {
      yield* own.fresh;
      yield* own.advanced;
    }
  }

  private statesOf(tenant: string): TenantStates<State> {
    const known = this.tenants.get(tenant);
    if (known !== undefined) return known;
    const made: TenantStates<State> = { fresh: new Queue(), advanced: new Queue() };
    this.tenants.set(tenant, made);
    return made;
  }

  /** Whose states must make room: the tenant's own over its limit, else those of the tenant that holds most. */
  private victims(own: TenantStates<State>): TenantStates<State> | undefined {
    if (own.fresh.size + own.advanced.size >= this.maxPerTenant) return own;
    if (this.size < this.maxStates) return undefined;
    let most: TenantStates<State> = own;
    for (const other of this.tenants.values()) {
      if (other.fresh.size + other.advanced.size > most.fresh.size + most.advanced.size) most = other;
    }
    return most;
  }
}

function oldestOf<State extends Held>({ fresh, advanced }: TenantStates<State>): State | null {
  return fresh.oldest ?? advanced.oldest;
}
