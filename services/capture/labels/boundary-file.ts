/** The operator's word on labels, a JSON file: strict, all faults in one error. */
import { readFileSync } from 'node:fs';
import { TriplineError } from '../../../schemas/errors.ts';
import { zBoundary, type BoundaryConfig } from '../../../schemas/labels/v1.ts';

const MAX_FILE_BYTES = 1024 * 1024;

/** Throws config_invalid; `named` is the variable that names the file. */
export function readBoundaryFile(file: string, named: string): BoundaryConfig {
  const fail = (faults: string): never => {
    throw new TriplineError('config_invalid', `${named} (${file}) has faults:\n  ${faults}`, { path: named });
  };
  let value: unknown;
  try {
    const bytes = readFileSync(file);
    if (bytes.length > MAX_FILE_BYTES) return fail(`(root): longer than ${MAX_FILE_BYTES} bytes`);
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (error instanceof TriplineError) throw error;
    return fail(error instanceof SyntaxError ? '(root): is no JSON' : '(root): cannot be read');
  }
  const parsed = zBoundary.safeParse(value);
  if (parsed.success) return parsed.data;
  return fail(
    parsed.error.issues
      .flatMap((issue) => {
        const at = issue.path.map(String).join('.');
        return issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: unknown key`)
          : [`${at === '' ? '(root)' : at}: ${issue.message}`];
      })
      .join('\n  '),
  );
}
