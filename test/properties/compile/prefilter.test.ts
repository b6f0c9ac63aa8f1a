/** What is looked for before a pattern runs never hides a match: against the patterns of the shipped rules and random ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { anyPattern, compilePattern } from '../../../detectors/compile/pattern.ts';
import { Prefilter } from '../../../detectors/compile/prefilter.ts';
import { isBeyondAscii, requiredTexts } from '../../../detectors/compile/required.ts';
import { loadRules } from '../../../detectors/compile/load.ts';
import { readBuiltinRules, sha256Hex } from '../../../services/detect/rules.ts';

const LETTERS = [
  'a',
  'b',
  'c',
  's',
  'k',
  'A',
  'B',
  'é',
  '\u017F',
  '\u212A',
  ' ',
  '.',
  '\n',
  '-',
  '1',
  '\u200B',
];
const texts = fc.array(fc.constantFrom(...LETTERS), { maxLength: 14 }).map((list) => list.join(''));

const atoms = fc.constantFrom(
  'a',
  'b',
  'c',
  's',
  'k',
  'ab',
  'sk',
  'abc',
  '.',
  '\\.',
  '\\b',
  '\\s',
  '\\w',
  '\\-',
  '[ab]',
  '[^a]',
  '[]a]',
  '[\\]a]',

  '^',
  '$',
  '\\x{61}',
  '\\x62',
  '\\pL',
  '\\p{Greek}',
  '\\Qa|b\\E',
  '[[:alpha:]]',
  'é',
  '(?i)',
  '(?-i)',
  ' ',
  '\\n',
  'A',
);
const repeats = fc.constantFrom(
  '',
  '',
  '',
  '',
  '?',
  '*',
  '+',
  '{0}',
  '{0,2}',
  '{1}',
  '{2}',
  '{1,3}',
  '*?',
  '+?',
  '??',
);
const { pattern: patterns } = fc.letrec<{ pattern: string; sequence: string; part: string }>((tie) => ({
  pattern: fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('|')),
  sequence: fc.array(tie('part'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
  part: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc
      .tuple(atoms, repeats)
      .map(([atom, repeat]) => (atom === '\\b' || atom.startsWith('(?') ? atom : atom + repeat)),
    fc
      .tuple(fc.constantFrom('(', '(?:', '(?P<n>', '(?i:', '(?-i:'), tie('pattern'), repeats)
      .map(([open, inside, repeat]) => `${open}${inside})${repeat}`),
  ),
}));

const plainTest = (pattern: string, cased: boolean): ((text: string) => boolean) => {
  const compiled = RE2JS.compile(pattern, cased ? 0 : RE2JS.CASE_INSENSITIVE);
  return (text) => compiled.test(text);
};

test('random patterns: any of several matches exactly where one of them does', () => {
  let matched = 0;
  let settled = 0;
  fc.assert(
    fc.property(
      fc.array(patterns, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.array(texts, { minLength: 1, maxLength: 12 }),
      (all, cased, samples) => {
        const sound = all.filter((pattern) => compilePattern(pattern, cased).kind === 'pattern');
        const any = anyPattern(sound, cased);
        const each = sound.map((pattern) => plainTest(pattern, cased));
        const prefilter = new Prefilter(sound);
        for (const text of samples) {
          const expected = each.flatMap((matches, at) => (matches(text) ? [at] : []));
          const candidates = prefilter.candidates(text);
          assert.ok(
            expected.every((at) => candidates.includes(at)),
            `${JSON.stringify(sound)} in ${JSON.stringify(text)}`,
          );
          assert.equal(any(text), expected.length > 0, `${JSON.stringify(sound)} in ${JSON.stringify(text)}`);
          if (expected.length > 0) matched++;
          if (candidates.length < sound.length) settled++;
        }
      },
    ),
    { numRuns: 1_500 },
  );
  assert.ok(matched > 400, `${matched} matches`);
  assert.ok(settled > 100, `${settled} settled without an automaton`);
});

/** Patterns of the shipped rules, with whether case matters. */
function shippedPatterns(): (readonly [pattern: string, cased: boolean])[] {
  const { rules } = loadRules(readBuiltinRules(), { sha256Hex });
  const found = new Map<string, readonly [string, boolean]>();
  for (const rule of rules) {
    for (const { maps } of rule.selections.values()) {
      for (const { operator, values, cased } of maps.flat()) {
        if (!operator.startsWith('re')) continue;
        for (const value of values) found.set(`${String(value)} ${cased}`, [String(value), cased]);
      }
    }
  }
  return [...found.values()];
}

/** Texts that nearly match: pieces of the patterns themselves, their marks made into blanks, letters and lines. */
function nearTexts(pattern: string): fc.Arbitrary<string> {
  const pieces = pattern.split(/[^A-Za-z0-9<>/.:_-]+/).filter((piece) => piece !== '');
  const joints = fc.constantFrom(' ', '', '\n', ': ', 's', '/', '(', '"', '=', '\u017F');
  const piece = fc.oneof(
    fc.constantFrom(...pieces, 'the', 'you'),
    fc.constantFrom(...pieces).map((text) => text.toUpperCase()),
  );
  return fc.array(fc.tuple(piece, joints), { maxLength: 9 }).map((list) => list.flat().join(''));
}

test('patterns of the shipped rules: nothing that they match is passed over', () => {
  let matched = 0;
  for (const [pattern, cased] of shippedPatterns()) {
    const matches = plainTest(pattern, cased);
    const prefilter = new Prefilter([pattern]);
    const any = anyPattern([pattern], cased);
    fc.assert(
      fc.property(nearTexts(pattern), (text) => {
        const expected = matches(text);
        if (expected) matched++;
        assert.ok(
          !expected || prefilter.candidates(text).length === 1,
          `${pattern} in ${JSON.stringify(text)}`,
        );
        assert.equal(any(text), expected, `${pattern} in ${JSON.stringify(text)}`);
      }),
      { numRuns: 150 },
    );
  }
  assert.ok(matched > 500, `${matched} matches`);
});

test('what patterns require', () => {
  assert.deepEqual(requiredTexts('\\b(?:Ignore|forget)\\s+(?:all\\s+)+rules?\\b'), [
    ['ignore', 'forget'],
    ['all'],
    ['rule'],
  ]);
  assert.deepEqual(requiredTexts('ab+c'), [['ab']]);
  assert.deepEqual(requiredTexts('(?:ab|)cd'), [['cd']]);
  for (const unknown of ['\\x{61}bc', '\\pLabc', '\\Qa|b\\Eabc', '[[:alpha:]]abc', 'a|bc', '.*', '']) {
    assert.deepEqual(requiredTexts(unknown), [], unknown);
  }
});

test('classes outside ASCII, but for the two letters that fold into it', () => {
  assert.equal(isBeyondAscii('[\\x{200B}-\\x{200F}\\x{FEFF}]{8}'), true);
  for (const pattern of [
    '[\\x{41}-\\x{FF}]',
    '[\\x{2100}-\\x{2200}]{2}',
    '[^\\x{200B}]',
    '[\\x{200B}]?',
    '\\x{200B}',
  ])
    assert.equal(isBeyondAscii(pattern), false, pattern);
});
