/** Texts that may name a host, in the ways in which arguments of calls name one. */
import fc from 'fast-check';

const HOSTS = ['example.org', '127.0.0.1', '[::1]', 'localhost', 'exämple', 'example。org'] as const;

/** `others`: further hosts. */
export function addresses(...others: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom('', 'http://', 'see https://', 'ftp://u@', 'a@', '//', 'x:'),
      fc.constantFrom(...HOSTS, ...others),
      fc.constantFrom('', ':80', '/x', ' ', '\n'),
    )
    .map((parts) => parts.join(''));
}
