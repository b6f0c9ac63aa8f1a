/**
 * Whether a token reads like words. Entropy alone does not tell a secret from English: "configuration" has 3.2 bits a
 * character, as many as a random text of that length often has. What tells them apart is which letters follow which.
 */

/**
 * The 240 commonest pairs of letters (first letter, then those that follow it) in 5,769 words of English prose, each
 * word counted once: the documentation of this project's dependencies. Of words of six letters or more 96 % have at
 * least three quarters of their pairs in it; of random lower-case texts of 8 letters 2.5 %, of 12 letters 0.7 %.
 */
const FOLLOWERS = [
  'a:bcdgiklmnprstuvy b:aeilorsu c:acehiklortu d:adeilorsu e:abcdefglmnpqrstvwx f:aefiloru',
  'g:aeghilnoru h:aeiort i:abcdefglmnoprstvz k:eis l:adeilostuy m:abeimopsu',
  'n:acdefgiknostuv o:abcdfgiklmnoprstuvw p:aeiloprstu q:u r:acdegiklmnoprstuvy s:acehilopstuy',
  't:acehilorstuy u:abcegilmnprst v:aeio w:aehior x:ept y:ps',
  'z:e',
];
const LEAST_COMMON_PAIRS = 0.75;
const A = 'a'.charCodeAt(0);
/** By letters, 32 places for each first one: 1 for a common pair. */
const COMMON_PAIRS = new Uint8Array(32 * 32);
for (const entry of FOLLOWERS.flatMap((line) => line.split(' '))) {
  const [first = '', followers = ''] = entry.split(':');
  for (const follower of followers)
    COMMON_PAIRS[(first.charCodeAt(0) - A) * 32 + follower.charCodeAt(0) - A] = 1;
}

/** No English word in use is longer. */
const LONGEST_WORD = 20;
/** Shorter words are taken for words; of several run together (fooBar), which a random text may look like, fewer are. */
const SHORTEST_JUDGED = 6;
const SHORTEST_JUDGED_OF_SEVERAL = 3;
const MAX_WORDS = 3;
/** Parts of names that make nothing special. */
const COMMON_PARTS: ReadonlySet<string> = new Set(
  'http https www com org net io application text html json xml charset utf'.split(' '),
);
/** Most tokens are one; it need not be taken apart. */
const ONE_WORD = /^(?:[A-Z]?[a-z]+|[A-Z]+)$/;
const DATE_TIME = /^\d{4}-\d\d-\d\d(?:[T ]?[\d:.,]*(?:Z|[+-]\d\d:?\d\d)?)$/;

function isWord(letters: string, shortestJudged: number): boolean {
  if (letters.length > LONGEST_WORD) return false;
  if (letters.length < shortestJudged) return true;
  let common = 0;
  // Of a letter of either case the last five bits are its place in the alphabet.
  let before = (letters.charCodeAt(0) & 31) - 1;
  for (let at = 1; at < letters.length; at++) {
    const letter = (letters.charCodeAt(at) & 31) - 1;
    common += COMMON_PAIRS[before * 32 + letter] as number;
    before = letter;
  }
  return common >= LEAST_COMMON_PAIRS * (letters.length - 1);
}

/** fooBar is two parts, foo and Bar; each is lower-case, capitalised or upper-case, or the token is no words. */
function partsOf(run: string): readonly string[] | undefined {
  const parts = run.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? [];
  const whole = parts.reduce((sum, part) => sum + part.length, 0) === run.length;
  return whole && (parts.length === 1 || parts.every((part) => part.length > 1)) ? parts : undefined;
}

/**
 * Up to three words, joined by anything (search-files, application/json, getUserName), a number of at most two digits
 * beside them (utf-8), or a date. Four words joined are a passphrase and no longer common.
 */
export function isWordLike(token: string): boolean {
  if (token.length > 80) return false;
  if (ONE_WORD.test(token)) return COMMON_PARTS.has(token) || isWord(token, SHORTEST_JUDGED);
  if (/\d{3}/.test(token)) return DATE_TIME.test(token);
  let words = 0;
  for (const run of token.split(/[^\p{L}\p{N}]+/u)) {
    const count = wordsIn(run);
    if (count === undefined) return false;
    words += count;
  }
  return words <= MAX_WORDS && /[a-z]/i.test(token);
}

/** Words that a run of letters and digits counts for, undefined where it is none. */
function wordsIn(run: string): number | undefined {
  if (run === '' || /^\d{1,2}$/.test(run) || COMMON_PARTS.has(run)) return 0;
  const parts = partsOf(run);
  if (parts === undefined) return undefined;
  const shortest = parts.length > 1 ? SHORTEST_JUDGED_OF_SEVERAL : SHORTEST_JUDGED;
  return parts.every((part) => isWord(part, shortest)) ? parts.length : undefined;
}
