/** Refusals that a host decides by itself: on record and in the answer they stand where a control of the service would. */
import type { Control } from '../../../schemas/control/v1.ts';

export interface HostRefusal {
  readonly id: 'channel_lost' | 'header_mismatch' | 'hold' | 'policy' | 'approval';
  /** The one tool that is refused; absent: every call. */
  readonly tool?: string;
  readonly reason: string;
  readonly nowMs: number;
  /** How long it holds from now on. */
  readonly forMs: number;
}

export function hostControl({ id, tool, reason, nowMs, forMs }: HostRefusal): Control {
  return {
    v: 1,
    id,
    version: 1,
    tenant: '*',
    scope: tool === undefined ? 'global' : 'tool',
    target: tool ?? '*',
    mode: 'enforce',
    state: 'set',
    reason,
    issuedBy: 'host',
    issuedAt: new Date(nowMs).toISOString(),
    expiresAt: new Date(nowMs + forMs).toISOString(),
  };
}
