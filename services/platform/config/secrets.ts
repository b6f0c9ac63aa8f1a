/** Secrets of the configuration: read once at start, never logged, masked when printed. */
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import type { zSecret } from '../../../schemas/config/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { expandHome } from './load.ts';

export type Secret = z.infer<typeof zSecret>;

/** The secret's text, without a trailing line break. Throws config_invalid naming `path` when its file cannot be read or is empty. */
export function readSecret(secret: Secret, path: string): string {
  if ('value' in secret) return secret.value;
  let text: string;
  try {
    text = readFileSync(expandHome(secret.file), 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new TriplineError('config_invalid', `${path}.file: ${secret.file} cannot be read`, { path, cause });
  }
  if (text === '')
    throw new TriplineError('config_invalid', `${path}.file: ${secret.file} is empty`, { path });
  return text;
}

/** A copy for printing: every inline secret and every password in a URL is replaced by `***`. */
export function maskSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskSecrets);
  if (typeof value === 'string')
    return value.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@\s]*?):[^/@\s]*@/i, '$1:***@');
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === 'value') return { value: '***' };
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, maskSecrets(child)]));
}
