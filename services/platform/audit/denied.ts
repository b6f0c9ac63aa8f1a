/** Who reaches for what is not theirs is on record, whatever route they took. */
import type { AuditBody } from '../../../schemas/audit/v1.ts';
import { isTriplineError } from '../../../schemas/errors.ts';
import type { Principal } from '../http/principal.ts';
import type { AuditTrail } from '../step.ts';

/** Does `work`; where it throws auth_forbidden, an audit event of the principal's own tenant precedes that. */
export async function auditingDenial<Result>(
  audit: AuditTrail,
  attempt: { readonly principal: Principal } & Pick<AuditBody, 'action' | 'target'> &
    Partial<Pick<AuditBody, 'reason'>>,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const { principal, ...what } = attempt;
    if (isTriplineError(error, 'auth_forbidden'))
      await audit.record(principal.tenant, {
        ...what,
        actor: principal.id,
        role: principal.role,
        outcome: 'denied',
      });
    throw error;
  }
}
