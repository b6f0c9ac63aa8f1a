/** The answer to a refused call. */
import type { Control, Refusal } from '../../schemas/control/v1.ts';
import { ERRORS, type ErrorCode } from '../../schemas/errors.ts';
import type { WireMessage } from './message.ts';

/** JSON-RPC error code of a refused call (schemas/control/v1.ts REFUSED_RPC_CODE; a test holds them equal). */
export const REFUSED_CODE = -32090;

/** What a refusal says beside the control in whose place it stands. */
export interface RefusalDetail extends Pick<Refusal, 'policy' | 'approvalId'> {
  readonly code: Extract<ErrorCode, 'control_refused' | 'policy_refused' | 'approval_required'>;
}

const BY_CONTROL: RefusalDetail = { code: 'control_refused' };

/** The JSON-RPC error for a refused call; the id goes back as the sender wrote it. */
export function refusalAnswer(message: WireMessage, control: Control, detail = BY_CONTROL): string {
  const { policy, approvalId } = detail;
  const data: Refusal = {
    controlId: control.id,
    scope: control.scope,
    mode: control.mode,
    expiresAt: control.expiresAt,
    reason: control.reason,
    ...(policy === undefined ? {} : { policy }),
    ...(approvalId === undefined ? {} : { approvalId }),
  };
  const error = { code: REFUSED_CODE, message: ERRORS[detail.code].meaning, data };
  return `{"jsonrpc":"2.0","id":${message.id?.raw ?? 'null'},"error":${JSON.stringify(error)}}`;
}
