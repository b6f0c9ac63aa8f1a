/** The operator's word on labels, a JSON file: strict, all faults in one error. */
import { readFileSync } from 'node:fs';
import { TriplineError } from '../../../schemas/errors.ts';
import { zBoundary, type BoundaryConfig } from '../../../schemas/labels/v1.ts';
import { sha256Hex } from '../recorder/chain.ts';
import type { FileReading, Loaded } from '../watched-file.ts';

const MAX_FILE_BYTES = 1024 * 1024;

/** Throws config_invalid; `named` is the variable that names the file. */
export function readBoundaryFile(file: string, named: string): Loaded<BoundaryConfig> {
  let found: FileReading<BoundaryConfig>;
  try {
    found = readBoundary(file, readFileSync(file));
  } catch {
    found = { kind: 'faulty', faults: ['(root): cannot be read'], hash: undefined };
  }
  if (found.kind === 'loaded') return found.loaded;
  const faults = found.faults.join('\n  ');
  throw new TriplineError('config_invalid', `${named} (${file}) has faults:\n  ${faults}`, { path: named });
}

/** A mapping from the exact bytes of its file, or every fault of it. */
export function readBoundary(_file: string, bytes: Uint8Array): FileReading<BoundaryConfig> {
  const hash = sha256Hex(bytes);
  const faulty = (faults: readonly string[]): FileReading<BoundaryConfig> => ({
    kind: 'faulty',
    faults,
    hash,
  });
  if (bytes.length > MAX_FILE_BYTES) return faulty([`(root): longer than ${MAX_FILE_BYTES} bytes`]);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return faulty(['(root): is no JSON']);
  }
  const parsed = zBoundary.safeParse(value);
  if (parsed.success) return { kind: 'loaded', loaded: { value: parsed.data, hash } };
  return faulty(
    parsed.error.issues.flatMap((issue) => {
      const at = issue.path.map(String).join('.');
      return issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: unknown key`)
        : [`${at === '' ? '(root)' : at}: ${issue.message}`];
    }),
  );
}
