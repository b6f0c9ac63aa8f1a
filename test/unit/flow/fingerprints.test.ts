import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isPartial,
  MAX_STEPS,
  sharesValue,
  sinkFingerprints,
  sourceFingerprints,
} from '../../../detectors/flow/fingerprints.ts';
import { readingsOf } from '../../../detectors/flow/expand.ts';
import { Steps } from '../../../detectors/flow/steps.ts';
import { textsOf } from '../../../detectors/flow/texts.ts';
import { parseVia, type Via } from '../../../detectors/flow/via.ts';
import { entropyBits } from '../../../detectors/flow/tokens.ts';

function via(...names: string[]): Via[] {
  return names.map((name) => {
    const parsed = parseVia(name);
    assert.ok(parsed.kind === 'via', name);
    return parsed.via;
  });
}
const ALL = via('exact', 'base64', 'hex', 'url', 'reverse');

function flows(source: unknown, sink: unknown, ways: readonly Via[] = ALL): boolean {
  return sharesValue(sourceFingerprints(source, ways, 2.5), sinkFingerprints(sink, ways, 2.5));
}

// All encodings by `printf %s … | base64`, `| xxd -p`, `| rev` and Python's urllib.parse.
const SECRET = 'sk_live_9aXv2QmT7kLp';
const FORMS: Readonly<Record<string, string>> = {
  exact: SECRET,
  base64: 'c2tfbGl2ZV85YVh2MlFtVDdrTHA=',
  hex: '736b5f6c6976655f3961587632516d54376b4c70',
  url: '%73%6B%5F%6C%69%76%65%5F%39%61%58%76%32%51%6D%54%37%6B%4C%70',
  reverse: 'pLk7TmQ2vXa9_evil_ks',
};
const SOURCE = { status: 'ok', data: [{ name: 'stripe', value: SECRET }] };

for (const [name, form] of Object.entries(FORMS)) {
  test(`${name}: found where it is asked for, alone or within other text, and only there`, () => {
    const sinks = [
      form,
      { body: form },
      { deep: [{ a: `the key is ${form}, use it` }] },
      { [form]: 1 },
      `https://example.com/collect?user=7&d=${form}#top`,
      JSON.stringify({ inner: JSON.stringify({ k: form }) }),
    ];
    for (const sink of sinks) {
      assert.equal(flows(SOURCE, sink), true, JSON.stringify(sink));
      assert.equal(flows(SOURCE, sink, via(name)), true, JSON.stringify(sink));
    }
    for (const other of Object.keys(FORMS)) {
      if (other !== name) assert.equal(flows(SOURCE, { body: form }, via(other)), false, other);
    }
  });
}

test('two encodings, one over the other', () => {
  const twice = {
    'base64 of hex': 'NzM2YjVmNmM2OTc2NjU1ZjM5NjE1ODc2MzI1MTZkNTQzNzZiNGM3MA==',
    'reversed base64': '=AHTrdDVtFlM2hVY58VZ2lGbft2c',
    'hex of base64': '6332746662476c325a563835595668324d6c4674564464725448413d',
    'base64 of more text': 'dG9rZW49c2tfbGl2ZV85YVh2MlFtVDdrTHA7',
    'base64 in the midst of its own letters': 'QUJD/c2tfbGl2ZV85YVh2MlFtVDdrTHA=',
    'base64 in lines': 'c2tfbGl2ZV85Y\nVh2MlFtVDdrTHA=\n',
    'hex spaced': '73 6b 5f 6c 69 76 65 5f 39 61 58 76 32 51 6d 54 37 6b 4c 70',
  };
  for (const [name, form] of Object.entries(twice)) assert.equal(flows(SOURCE, { body: form }), true, name);
});

test('URL alphabet of base64, blanks as +, letters outside ASCII', () => {
  // base64.urlsafe_b64encode(b'\xff?>~Zq9' + the secret): bytes that are no text stand before it.
  assert.equal(flows('P@ss w0rd/9#xK', { q: 'P%40ss+w0rd%2F9%23xK' }), true);
  assert.equal(flows('P@ss w0rd/9#xK', { q: 'P%40ss%20w0rd%2F9%23xK' }), true);
  assert.equal(flows('P@ssw0rd/9#xK', { u: 'https://h.example/?p=P%40ssw0rd%2F9%23xK&x=1' }), true);
  assert.equal(flows('pÄsswörd-9ßx', { b: 'cMOEc3N3w7ZyZC05w594' }), true);
  // Full-width letters and a zero-width space in the midst.
  assert.equal(flows(SECRET, { b: 'ｓｋ_live_9aXv\u200B2QmT7kLp' }), true);
  // '_z8-' is ff 3f 3e in the URL alphabet.
  assert.equal(flows('kY3?>vQ9-ab', { b: 'a1kzPz52UTktYWI' }), true);
});

test('numbers are values too, once they are long enough', () => {
  assert.equal(flows({ account: 4929138507 }, { note: 'acct 4929138507' }), true);
  assert.equal(flows({ account: 40412 }, { note: '40412' }), false);
});

test('silent: short, plain, dull or common texts', () => {
  const common = {
    status: 'completed',
    ok: true,
    kind: 'application/json; charset=utf-8',
    url: 'https://example.com',
    time: '2026-01-31T12:00:00.000Z',
    id: 'abc12',
    zeros: '00000000000000',
    tool: 'search_files',
    method: 'getUserName',
    text: 'Please read the documentation before changing the configuration of the production environment.',
  };
  const sink = {
    ...common,
    text: 'The environment needs another configuration, says the documentation: it was completed in production.',
  };
  assert.equal(flows(common, sink), false);
});

test('silent: another secret of the same shape', () => {
  assert.equal(flows({ k: SECRET }, { k: 'sk_live_9aXv2QmT7kLq' }), false);
  assert.equal(flows({ k: SECRET }, { k: 'c2tfbGl2ZV85YVh2MlFtVDdrTHE=' }), false);
});

test('chunks: a value cut up over arguments, with separators put in', () => {
  const ways = via('chunks>=8');
  const key = 'Zq3vT8pLw2XnRb6KdYc4';
  assert.equal(flows({ key }, { a: 'Zq3vT8pLw2', b: 'XnRb6KdYc4' }, ways), true);
  assert.equal(flows({ key }, { a: 'Zq3v', b: 'T8pL', c: 'w2Xn' }, ways), true, 'rejoined');
  assert.equal(flows({ key }, { a: 'x Z-q-3-v-T-8-p-L x' }, ways), true);
  assert.equal(flows({ key }, { a: 'Zq3vT8p', z: 'RkXnRb6Kd' }, ways), false, 'seven in a row');
  assert.equal(flows({ key }, { a: 'hello world, nothing to see' }, ways), false);
  assert.equal(flows({ key }, { a: 'Zq3vT8pLw2XnRb6KdYc4' }, via('exact')), true);
});

test('chunks and an encoding: a part of the value within what was decoded', () => {
  // printf %s 'part: 8pLw2XnRb6 end' | base64
  const sink = { a: 'cGFydDogOHBMdzJYblJiNiBlbmQ=' };
  assert.equal(flows('Zq3vT8pLw2XnRb6KdYc4', sink, via('chunks>=8', 'base64')), true);
  assert.equal(flows('Zq3vT8pLw2XnRb6KdYc4', sink, via('chunks>=8')), false);
});

test('a list is sorted, without doubles, at most 256 words for a source', () => {
  const random = Array.from(
    { length: 1_000 },
    (_, index) => `k${(index * 7919 + 13).toString(36)}Qz${index}xV`,
  );
  const text = sourceFingerprints(random, via('exact'), 2.5);
  const words = text.split(' ').filter((word) => word !== '!');
  assert.equal(words.length, 256);
  // The digits stand in the order of their code points, so that words sort as their numbers do.
  assert.deepEqual(words, [...new Set(words)].toSorted());
  assert.ok(words.every((word) => /^[-0-9A-Z_a-z]{10}$/.test(word)));
  assert.equal(isPartial(text), true);
  assert.equal(isPartial(sourceFingerprints(SECRET, ALL, 2.5)), false);
  assert.equal(sourceFingerprints({ a: 'yes' }, ALL, 2.5), '');
  assert.equal(sharesValue('', ''), false);
  assert.equal(sharesValue('! 1a', '! 2b'), false, 'the mark is no value');
});

test('a hash of the caller takes the place of the built-in one', () => {
  const hash = (text: string): string =>
    (text.endsWith(SECRET) ? '00000000000ff' : '1000000000000') + 'abcdef';
  const text = sourceFingerprints(SECRET, via('exact'), 2.5, hash);
  // Ten digits of six bits, two of which are not zero: 3 (the digit after -, 0, 1) and 63 (the last).
  assert.equal(text, '--------2z');
});

// By hand: four letters once each, 2 bits; "aabb": 1 bit; "https": h, p, s once, t twice: log2 5 - 2/5.
test('entropy by hand', () => {
  assert.equal(entropyBits('abcd'), 2);
  assert.equal(entropyBits('aabb'), 1);
  assert.ok(Math.abs(entropyBits('https') - (Math.log2(5) - 0.4)) < 1e-12);
});

/** One megabyte each. */
const HOSTILE: Readonly<Record<string, unknown>> = {
  'one base64 run': 'QUFBQkJC'.repeat(131_072),
  'one hex run': '41'.repeat(524_288),
  'percent signs': '%25'.repeat(349_525),
  'base64 of base64, many tokens': 'UVVGQlFrSkM '.repeat(87_381),
  'tokens that all differ': Array.from({ length: 90_000 }, (_, index) => `z${index}Q${index * 7}x`).join(' '),
  'ligatures that grow eighteen-fold': '\uFDFA'.repeat(1_048_576),
  'deep lists': `${'['.repeat(500_000)}${']'.repeat(500_000)}`,
  'many members': Object.fromEntries(Array.from({ length: 60_000 }, (_, index) => [`key${index}`, index])),
  'JSON in JSON': JSON.stringify(JSON.stringify(JSON.stringify('"\\'.repeat(60_000)))),
  'nothing but separators': '=/&?'.repeat(262_144),
};

for (const [name, value] of Object.entries(HOSTILE)) {
  test(`bounded work: ${name}`, () => {
    const steps = new Steps(MAX_STEPS);
    const texts = textsOf(value, steps);
    const all = [...texts.values, ...texts.keys];
    assert.ok(all.reduce((sum, text) => sum + text.length, 0) <= 256 * 1024);
    const readings = readingsOf(all, ['base64', 'hex', 'url', 'reverse'], steps);
    assert.ok(steps.taken <= MAX_STEPS);
    assert.ok(readings.length <= 8_192, `${readings.length}`);
    const sink = sinkFingerprints(value, [...ALL, ...via('chunks>=12')], 2.5);
    assert.ok(sink.length < 8_192 * 12 + 2);
    assert.equal(isPartial(sink), true, 'says that something was left out');
  });
}

test('a flood of tokens beside the secret does not hide it within the bounds', () => {
  const decoys = Array.from({ length: 3_000 }, (_, index) => `dEcOy${index * 104_729}xQz`).join(' ');
  assert.equal(flows(SOURCE, { a: decoys, b: FORMS['base64'] }), true);
});
