/** The signer's own key, in `log.key`. */
import { loadKeyFile, type SigningKey } from '../platform/ledger/key-file.ts';

export type { SigningKey } from '../platform/ledger/key-file.ts';

/** Reads `log.key` of `dir`, or makes it and `log.pub`. Throws config_invalid when others may read the key. */
export function loadSigningKey(dir: string): Promise<SigningKey> {
  return loadKeyFile(dir, 'log');
}
