/** A redaction file → its rules, or every fault of it with its line. YAML; JSON is YAML. Loaded only where one is configured. */
import { TriplineError } from '../../../schemas/errors.ts';
import { zRedaction, type Redaction } from '../../../schemas/redaction/v1.ts';
import { faultText, readDocument } from '../policy/read.ts';

/** Throws redaction_invalid. */
export function readRedaction(file: string, bytes: Uint8Array): Redaction {
  const reading = readDocument(bytes, zRedaction);
  if (reading.kind === 'value') return reading.value;
  const faults = reading.faults.map((fault) => faultText(file, fault)).join('\n  ');
  throw new TriplineError('redaction_invalid', `the redaction has faults:\n  ${faults}`, {
    path: 'TRIPLINE_REDACTION',
  });
}
