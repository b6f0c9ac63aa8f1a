import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chunksOf, chunkText } from '../../../detectors/flow/chunks.ts';
import { sharesValue, sinkFingerprints, sourceFingerprints } from '../../../detectors/flow/fingerprints.ts';
import { parseVia, type Encoding, type Via } from '../../../detectors/flow/via.ts';

function via(...names: string[]): Via[] {
  return names.map((name) => {
    const parsed = parseVia(name);
    assert.ok(parsed.kind === 'via', name);
    return parsed.via;
  });
}
const ALL = via('exact', 'base64', 'hex', 'url', 'reverse');

/** Entropy by its definition. */
function entropy(text: string): number {
  const shares = [...new Set(text)].map((letter) => (text.split(letter).length - 1) / text.length);
  return -shares.reduce((sum, share) => sum + share * Math.log2(share), 0);
}

const alphabet = (letters: string) => fc.constantFrom(...letters.split(''));
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const textOf = (letters: string, minLength: number, maxLength: number) =>
  fc.array(alphabet(letters), { minLength, maxLength, size: 'max' }).map((list) => list.join(''));

/** Letters of one case alone may be words: see isWordLike. */
const secrets = fc
  .oneof(
    textOf(BASE62, 12, 48),
    textOf(`${BASE62}-_`, 12, 48),
    textOf('0123456789abcdef', 16, 64),
    textOf('abcdefghijklmnopqrstuvwxyz234567', 12, 40),
  )
  .filter((text) => entropy(text) >= 3 && /\d/.test(text) && /^[A-Za-z0-9].*[A-Za-z0-9]$/.test(text));

const ENCODERS: Readonly<Record<Encoding, (text: string) => string>> = {
  base64: (text) => Buffer.from(text).toString('base64'),
  hex: (text) => Buffer.from(text).toString('hex'),
  url: (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  reverse: (text) => Array.from(text).toReversed().join(''),
};
const BASE64URL = (text: string): string => Buffer.from(text).toString('base64url');

const encoders = fc.array(
  fc.constantFrom(ENCODERS.base64, BASE64URL, ENCODERS.hex, ENCODERS.url, ENCODERS.reverse),
  { maxLength: 2 },
);

/** A place for a text within JSON, delimited by what no secret or encoding holds. */
const places = fc
  .record({
    before: fc.constantFrom('', 'token: ', 'see "', 'curl -d x=', '(', 'a,b;', 'päss=', '\n'),
    after: fc.constantFrom('', ' ', '"', ')', '; rm', ', then', '\n\nbye'),
    noise: fc.jsonValue({ maxDepth: 2 }),
    shape: fc.constantFrom('text', 'list', 'member', 'key', 'json'),
  })
  .map(({ before, after, noise, shape }) => (text: string): unknown => {
    const placed = before + text + after;
    switch (shape) {
      case 'list':
        return [noise, [placed], noise];
      case 'member':
        return { noise, deep: { deeper: [placed] } };
      case 'key':
        return { [placed]: noise };
      case 'json':
        return { body: JSON.stringify({ noise, x: placed }) };
      case 'text':
        return placed;
    }
  });

test('a secret that passes through any two encodings into any JSON is found', () => {
  fc.assert(
    fc.property(secrets, encoders, places, fc.jsonValue({ maxDepth: 2 }), (secret, chain, place, noise) => {
      const source = sourceFingerprints({ noise, result: [`value=${secret}`] }, ALL, 2.5);
      const sent = chain.reduce((text, encode) => encode(text), secret);
      assert.ok(sharesValue(source, sinkFingerprints(place(sent), ALL, 2.5)), sent);
    }),
    { numRuns: 4_000 },
  );
});

/** Random texts of letters and digits, from glibc's old linear congruential generator. */
function randomTexts(seed: number): (length: number) => string {
  let state = seed;
  return (length) =>
    Array.from({ length }, () => {
      state = (Math.imul(1_103_515_245, state) + 12_345) & 0x7fffffff;
      return BASE62[(state >>> 8) % 62];
    }).join('');
}

test('two secrets that have nothing to do with each other never match', () => {
  const random = randomTexts(7);
  const ways = [...ALL, ...via('chunks>=8')];
  const encodings = Object.values(ENCODERS);
  let told = 0;
  for (let round = 0; round < 20_000; round++) {
    const encode = encodings[round % 4];
    const other = random(12 + (round % 37));
    const source = sourceFingerprints({ value: random(12 + (round % 31)) }, ways, 2.5);
    assert.notEqual(source, '');
    const sent = round % 5 === 0 || encode === undefined ? other : encode(other);
    if (sharesValue(source, sinkFingerprints({ value: sent }, ways, 2.5))) told++;
  }
  assert.equal(told, 0);
});

/** Whether one of every `window` neighbouring N-grams of the run says something (detectors/flow/chunks.ts). */
function isTelling(run: string, n: number, window: number): boolean {
  const least = Math.min(2.5, Math.log2(n) * 0.75) + 1e-9;
  let dull = 0;
  for (let at = 0; at + n <= run.length; at++) {
    dull = entropy(run.slice(at, at + n)) >= least ? 0 : dull + 1;
    if (dull >= window) return false;
  }
  return true;
}

test('chunks: every shared run of N + w - 1 letters and digits is found, however it is cut', () => {
  let coarse = 0;
  fc.assert(
    fc.property(
      fc.record({
        n: fc.constantFrom(8, 12, 20),
        // Few letters: repeats and ties are common.
        source: fc.oneof(textOf(BASE62, 30, 300), textOf('abcdefgh', 30, 300), textOf(BASE62, 600, 1_500)),
        other: textOf('0123456789abcdefghXYZ', 0, 200),
        extra: fc.nat(10),
        at: fc.nat(),
        cuts: fc.array(fc.nat(30), { minLength: 1, maxLength: 6 }),
        separator: fc.constantFrom('', ' ', '-', '", "', '\n', '/'),
      }),
      ({ n, source, other, extra, at, cuts, separator }) => {
        const { window } = chunksOf(chunkText([source]), n, { minEntropy: 2.5, maxCount: 256 });
        const length = n + window - 1 + extra;
        fc.pre(length <= source.length);
        const start = at % (source.length - length + 1);
        const run = source.slice(start, start + length);
        fc.pre(isTelling(run, n, window));
        if (window > 1) coarse++;
        const parts: string[] = [];
        let left = run;
        for (const cut of cuts) {
          parts.push(left.slice(0, cut));
          left = left.slice(cut);
        }
        parts.push(left);
        const args = Object.fromEntries(parts.map((part, index) => [`_${index}_`, part + separator]));
        const ways = via(`chunks>=${n}`);
        const sink = sinkFingerprints({ other, ...args }, ways, 2.5);
        assert.ok(sharesValue(sourceFingerprints({ source }, ways, 2.5), sink), `${run} with w = ${window}`);
      },
    ),
    { numRuns: 3_000 },
  );
  assert.ok(coarse > 100, `${coarse} with a window above 1`);
});

test('ngram: every shared run of the length asked for is found, by a fraction of the fingerprints', () => {
  const [noise, other] = [randomTexts(3), randomTexts(4)];
  const count = (list: string): number => (list === '' ? 0 : list.split(' ').length);
  const words = { chunks: 0, ngram: 0 };
  for (const length of [8, 12, 24, 32, 48, 96]) {
    for (let round = 0; round < 60; round++) {
      const source = noise(300);
      const run = source.slice(round, round + length);
      const ways = via(`ngram>=${length}`);
      const sink = { text: other(300), [`${run.slice(0, 5)}-${run.slice(5)}`]: other(300) };
      const list = sourceFingerprints({ source }, ways, 2.5);
      assert.ok(sharesValue(list, sinkFingerprints(sink, ways, 2.5)), `${run} of ${length}`);
      assert.ok(!sharesValue(list, sinkFingerprints({ text: other(600) }, ways, 2.5)));
      words.ngram += count(list);
      words.chunks += count(sinkFingerprints({ source }, via(`chunks>=${length}`), 2.5));
    }
  }
  // 2 / (w + 1) of all N-grams (Schleimer, Wilkerson, Aiken), w from 2 to 32.
  assert.ok(words.ngram < words.chunks / 2, JSON.stringify(words));
});

test('chunks: a run is found where both sides are too long for all of their N-grams', () => {
  const random = randomTexts(1);
  const ways = via('chunks>=12');
  for (let round = 0; round < 40; round++) {
    const source = random(6_000);
    const noise = [random(9_000), random(9_000)] as const;
    const limits = { minEntropy: 2.5, maxCount: 256 };
    const mine = chunksOf(source, 12, limits).window;
    const sinkText = (run: string): string => noise[0] + run + noise[1];
    const run = source.slice(1_000, 1_000 + 12 + mine - 1);
    const theirs = chunksOf(sinkText(run), 12, { ...limits, maxCount: 4_096 }).window;
    assert.ok(mine > 1 && theirs > 1 && theirs <= mine, `${mine}, ${theirs}`);
    const sink = sinkFingerprints([sinkText(run)], ways, 2.5);
    assert.ok(sharesValue(sourceFingerprints(source, ways, 2.5), sink), run);
  }
});
