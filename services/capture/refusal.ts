/** The answer to a refused call. */
import type { Control, Refusal } from '../../schemas/control/v1.ts';
import { ERRORS, type ErrorCode } from '../../schemas/errors.ts';
import type { WireMessage } from './message.ts';

/** JSON-RPC error code of a refused call (schemas/control/v1.ts REFUSED_RPC_CODE; a test holds them equal). */
export const REFUSED_CODE = -32090;

const REFUSED: ErrorCode = 'control_refused';
const REFUSED_MESSAGE = ERRORS[REFUSED].meaning;

/** The JSON-RPC error for a refused call; the id goes back as the sender wrote it. */
export function refusalAnswer(message: WireMessage, control: Control): string {
  const data: Refusal = {
    controlId: control.id,
    scope: control.scope,
    mode: control.mode,
    expiresAt: control.expiresAt,
    reason: control.reason,
  };
  const error = { code: REFUSED_CODE, message: REFUSED_MESSAGE, data };
  return `{"jsonrpc":"2.0","id":${message.id?.raw ?? 'null'},"error":${JSON.stringify(error)}}`;
}
