/** Why a tap cannot begin. */
import { isTriplineError } from '../../../schemas/errors.ts';

export interface StartFault {
  readonly message: string;
  /** Its host is to be configured otherwise. */
  readonly isConfiguration: boolean;
}

export function startFault(error: unknown): StartFault {
  const isConfiguration = (['config_invalid', 'host_policy_invalid', 'redaction_invalid'] as const).some(
    (code) => isTriplineError(error, code),
  );
  return { message: error instanceof Error ? error.message : 'unknown fault', isConfiguration };
}
