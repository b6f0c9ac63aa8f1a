/** Columns of `dispositions` as a pure function of a line of topic audit: `record` writes them, the verifier derives them again. */
import { DISPOSITIONS, type Disposition } from '../../schemas/alert/disposition.ts';
import type { AuditLine } from '../../schemas/audit/v1.ts';
import { lineTimeMs, storable } from './projection.ts';

export interface DispositionProjection {
  readonly alert_id: string;
  readonly rule_id: string;
  readonly disposition: string;
  readonly reason: string;
  readonly actor: string;
  readonly role: string;
  readonly event_time: number;
}

const isDisposition = (value: unknown): value is Disposition => DISPOSITIONS.some((name) => name === value);

/** Undefined for every other audit event: what was denied, or says no disposition that is known, is none. */
export function projectDisposition(line: AuditLine, appendMs: number): DispositionProjection | undefined {
  const { action, outcome, target, details, reason, actor, role } = line.audit;
  if (action !== 'alert.disposition' || outcome !== 'ok' || target === undefined) return undefined;
  const disposition = details?.['disposition'];
  if (!isDisposition(disposition)) return undefined;
  const rule = details?.['rule'];
  return {
    alert_id: target,
    rule_id: typeof rule === 'string' ? rule : '',
    disposition,
    reason: reason ?? '',
    actor,
    role,
    event_time: storable(lineTimeMs(line.time, appendMs)),
  };
}
