/** A control as a record of topic controls: key = control id, value = the signed form as JSON. */
import { controlSigningBytes } from '../../../schemas/control/verify.ts';
import { zSignedControl, type Control, type SignedControl } from '../../../schemas/control/v1.ts';
import { HEADERS } from '../../../schemas/topics.ts';
import type { BusMessage } from '../bus/port.ts';
import type { ControlKey } from './key.ts';

/** Header `format` of a control record. */
export const FORMAT_CONTROL = 'control/1';
const MAX_VALUE_BYTES = 32 * 1024;

/** Signs a control: the payload is serialised once, here, and travels as these bytes ever after. */
export function signControl(control: Control, key: ControlKey): SignedControl {
  const payload = Buffer.from(JSON.stringify(control), 'utf8');
  return {
    payload: payload.toString('base64'),
    keyId: key.keyId,
    signature: Buffer.from(key.sign(controlSigningBytes(payload))).toString('base64'),
  };
}

export function encodeControlMessage(control: Control, signed: SignedControl): BusMessage {
  return {
    key: Buffer.from(control.id, 'utf8'),
    value: Buffer.from(JSON.stringify(signed), 'utf8'),
    headers: { [HEADERS.format]: FORMAT_CONTROL, [HEADERS.tenant]: control.tenant },
  };
}

/** The signed form in a record's value, unverified; undefined for a tombstone or anything else. */
export function decodeControlValue(value: Uint8Array | null): SignedControl | undefined {
  if (value === null || value.length > MAX_VALUE_BYTES) return undefined;
  try {
    return zSignedControl.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch {
    return undefined;
  }
}
