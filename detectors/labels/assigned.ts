/** Secrets that only their name gives away: `password=…`, `"client_secret": "…"`. The value must look made, not written. */

export type NameStrength = 'strong' | 'weak' | 'none';

const STRONG =
  /(?:^| )(?:pass ?word|passwd|pass ?phrase|pwd|secret|(?:api|access|private|account|client|shared|signing|encryption|master|storage|license|secret|app|service) ?key|apikey|accesskey|privatekey|accountkey|sharedaccesskey|clientsecret|secretkey)(?: |$)/;
const WEAK =
  /(?:^| )(?:(?:auth|access|api|refresh|bearer|session|id|bot)? ?token|authtoken|accesstoken|credentials?|authorization)(?: |$)/;
/** The name speaks about a secret, or of what pages through a list. */
const ABOUT =
  / (?:hash|digest|ids?|count|type|names?|ur[il]|path|file|length|len|expir\w*|ttl|hint|policy|fields?|label|limit|usage|used|total|version|alg|algorithm|status|state|enabled|required|prompt|manager|reset|at|in|on|arn|ref|selector|rotation)$|(?:^| )(?:next|prev|previous|page|paging|pagination|continuation|cursor|sync|public|csrf|xsrf|max|min|total|input|output|prompt|completion|cached|reasoning|no|num|has|is)(?: |$)/;

const MAX_NAMES = 512;
const MAX_NAME_CHARACTERS = 64;
/** Names repeat; what they are worth is worked out once. */
const known = new Map<string, NameStrength>();

/** Words of a name, lower case, one blank between: clientSecret, CLIENT_SECRET, client-secret. */
function wordsOf(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/[^A-Za-z0-9]+/g, ' ')
    .trim()
    .toLowerCase();
}

/** What a name says of its value. */
export function nameStrength(name: string): NameStrength {
  if (name.length < 3 || name.length > MAX_NAME_CHARACTERS) return 'none';
  const before = known.get(name);
  if (before !== undefined) return before;
  const words = wordsOf(name);
  const strength = ABOUT.test(words)
    ? 'none'
    : STRONG.test(words)
      ? 'strong'
      : WEAK.test(words)
        ? 'weak'
        : 'none';
  if (known.size >= MAX_NAMES) known.clear();
  known.set(name, strength);
  return strength;
}

/** Shannon entropy in bits a character. */
export function entropyOf(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

const MAX_VALUE_CHARACTERS = 512;
const PLACEHOLDER =
  /^(?:[*x•#?._-]+|<.*>|\[.*\]|(?:your|my|the|some|example|dummy|test|fake|sample|change|replace|insert|enter|todo|redacted|masked|hidden|placeholder|undefined)(?:[-_ ].*|me)?)$|^[$%]|\$\{|\{\{|xxxx|\*{3}|\.\.\./i;
const CODE = /[()\s]|^(?:process\.env|os\.environ|env[.:[]|secrets?\.|vault:|arn:|data:)|:\/\/|^\.{0,2}\//i;
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const HASH = /^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128}|(?:sha\d{1,3}|md5)[:-].*)$/i;

/** Whether the value is one that a machine or a careful person made. Not seen: passphrases of words, and short passwords. */
export function looksMade(value: string, strength: NameStrength): boolean {
  if (strength === 'none') return false;
  const { minLength, minEntropy, mixed, harmless } = LOOKS[strength];
  return (
    value.length >= minLength &&
    value.length <= MAX_VALUE_CHARACTERS &&
    /[A-Za-z]/.test(value) &&
    mixed.test(value) &&
    ![PLACEHOLDER, CODE, ...harmless].some((pattern) => pattern.test(value)) &&
    entropyOf(value) >= minEntropy
  );
}

/** What a value must be, by how much its name tells. */
const LOOKS = {
  strong: { minLength: 8, minEntropy: 2.5, mixed: /\d|[^A-Za-z0-9._:,/-]/, harmless: [] },
  weak: { minLength: 16, minEntropy: 3, mixed: /\d/, harmless: [UUID, HASH] },
} as const;

/** From the sign on: quotes and blanks, then the value in its quotes or up to what ends it. */
const VALUE =
  /[=:]>?\s{0,4}(?:\\?"([^"\n]{0,256})"|'([^'\n]{0,256})'|`([^`\n]{0,256})`|([^\s"'`,;&<>|{}[\]()\\]{1,256}))/y;

/** End of a value that is assigned by the sign at `at` to a name of this strength, where it looks made; -1 else. */
export function assignedAt(text: string, at: number, strength: NameStrength): number {
  if (strength === 'none' || text.charCodeAt(at + 1) === 0x3d) return -1;
  VALUE.lastIndex = at;
  const match = VALUE.exec(text);
  if (match === null) return -1;
  const value = match[1] ?? match[2] ?? match[3] ?? match[4] ?? '';
  return looksMade(value, strength) ? at + match[0].length : -1;
}

const USER_INFO = /:\/\/[^\s/?#@:'"<>]{0,128}:([^\s/?#@'"<>]{3,256})@[\w[]/y;

/** End of `://user:password@` from the colon at `at`; -1 when there is none. */
export function urlPasswordAt(text: string, at: number): number {
  USER_INFO.lastIndex = at;
  const match = USER_INFO.exec(text);
  const password = match?.[1];
  if (
    password === undefined ||
    PLACEHOLDER.test(password) ||
    /^(?:pass(?:word)?|pw|pwd|secret)$/i.test(password)
  )
    return -1;
  return USER_INFO.lastIndex;
}

const BEARER = / +([A-Za-z0-9._~+/-]{20,2048})/y;

/** End of the token after the word `Bearer` (RFC 6750) that ends at `at`; -1 when none follows. */
export function bearerAt(text: string, at: number): number {
  BEARER.lastIndex = at;
  const token = BEARER.exec(text)?.[1];
  return token !== undefined && looksMade(token.slice(0, MAX_VALUE_CHARACTERS), 'weak')
    ? at + 1 + token.length
    : -1;
}
