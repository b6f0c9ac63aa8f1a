/** Who may see which control: shared by the routes and the stream. */
import type { Control } from '../../../schemas/control/v1.ts';
import type { StepContext } from '../step.ts';

export type ControlRouteContext = Pick<StepContext, 'http' | 'audit' | 'clock' | 'log'>;

export const CONTROL_READERS = ['producer', 'analyst', 'responder', 'auditor', 'admin'] as const;
export const CONTROL_WRITERS = ['responder', 'admin'] as const;

/** True when a control concerns a tenant: its own, and the global ones that stop its calls too. */
export function concerns(control: Control, tenant: string): boolean {
  return tenant === '*' || control.tenant === '*' || control.tenant === tenant;
}
