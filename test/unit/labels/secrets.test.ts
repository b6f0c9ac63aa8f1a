/**
 * Secret detectors against examples out of vendors' documentation and standards. Those that scanners of repositories would
 * take for real are put together from parts.
 */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { secretsInJson, secretsInValue } from '../../../detectors/labels/body-secrets.ts';
import { isCardNumber } from '../../../detectors/labels/card-number.ts';
import { secretsIn } from '../../../detectors/labels/secrets.ts';

/** RFC 4122 §3. */
const UUID = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
const kinds = (text: string): readonly string[] => secretsIn(text).map(({ kind }) => kind);

/** Published by the card brands' processors for tests (Stripe, PayPal, Adyen, Worldpay); Luhn holds for all. */
const TEST_CARDS: Readonly<Record<string, string>> = {
  Visa: '4111111111111111',
  'Visa (Stripe)': '4242424242424242',
  'Visa, 13 digits': '4222222222222',
  Mastercard: '5555555555554444',
  'Mastercard (PayPal)': '5105105105105100',
  'Mastercard, 2-series': '2223003122003222',
  'American Express': '378282246310005',
  'American Express (2)': '371449635398431',
  Discover: '6011111111111117',
  'Discover (2)': '6011000990139424',
  'Diners Club': '3056930009020004',
  'Diners Club, 14 digits': '36227206271667',
  JCB: '3566002020360505',
  UnionPay: '6200000000000005',
};

describe('card numbers', () => {
  for (const [brand, number] of Object.entries(TEST_CARDS)) {
    it(`${brand}: its test card, and none with another last digit`, () => {
      assert.ok(isCardNumber(number));
      const last = Number(number.at(-1));
      for (let digit = 0; digit < 10; digit++)
        if (digit !== last) assert.ok(!isCardNumber(`${number.slice(0, -1)}${digit}`), `${digit}`);
    });
  }
  it('the example of ISO/IEC 7812-1 annex B has its check digit and no issuer', () => {
    // 7992739871 with check digit 3: Luhn holds, but nobody issues 11 digits that begin with 79.
    assert.ok(!isCardNumber('79927398713'));
  });
  it('grouped as on a card they count alone, in a row only beside a word that speaks of cards', () => {
    assert.deepEqual(kinds('4242 4242 4242 4242'), ['card_number']);
    assert.deepEqual(kinds('it is 3782-822463-10005.'), ['card_number']);
    assert.deepEqual(kinds('my card: 4242424242424242'), ['card_number']);
    assert.deepEqual(kinds('order 4242424242424242'), []);
    assert.deepEqual(secretsInJson('{"payment_card":{"number":4111111111111111}}').secrets, [
      { kind: 'card_number', at: '/payment_card/number' },
    ]);
    assert.deepEqual(secretsInJson('{"order":{"number":4111111111111111}}').secrets, []);
  });
});

/** Text and what stands in it; sources in the comments. */
const VECTORS: readonly (readonly [what: string, text: string, kind: string])[] = [
  ['AWS, "Understanding your access keys"', 'AKIAIOSFODNN7EXAMPLE', 'aws_access_key_id'],
  ['AWS STS, AssumeRole sample', 'ASIAIOSFODNN7EXAMPLE', 'aws_access_key_id'],
  [
    'AWS CLI, credentials file',
    'aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    'assigned_secret',
  ],
  ['GitHub, "Authorizing OAuth apps"', 'gho_16C7e42F292c6912E7710c838347Ae178B4a', 'github_token'],
  ['GitHub, fine-grained form', `github_pat_${'1'.repeat(22)}_${'a1'.repeat(29)}b`, 'github_token'],
  ['GitLab, "Personal access tokens"', ['glpat', 'AbCdEfGhIjKlMnOpQrSt'].join('-'), 'gitlab_token'],
  ['Stripe, API reference', ['sk', 'test', '4eC39HqLyjWDarjtT1zdp7dc'].join('_'), 'stripe_key'],
  [
    'Slack, bot token form',
    ['xoxb', '17653672481', '19874698323', 'pdFZKVeTuE8sk7oOcHrzqqgy'].join('-'),
    'slack_token',
  ],
  [
    'Slack, "Incoming webhooks"',
    ['https://hooks.slack.com/services', 'T00000000', 'B00000000', 'XXXXXXXXXXXXXXXXXXXXXXXX'].join('/'),
    'slack_webhook',
  ],
  ['Google, API key form', ['AIza', 'SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe'].join(''), 'google_api_key'],
  [
    'Telegram Bot API, "Authorizing your bot"',
    '123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11',
    'telegram_bot_token',
  ],
  ['Telegram, BotFather tutorial', '110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw', 'telegram_bot_token'],
  [
    'RFC 7519 §3.1, with its line breaks taken out',
    'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
    'jwt',
  ],
  ['RFC 6750 §2.1', 'Authorization: Bearer mF_9.B5f-4.1JqM0000000', 'bearer_token'],
  [
    'RFC 7468 §10 (PKCS #8)',
    '-----BEGIN PRIVATE KEY-----\nMIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgVcB/UNPxalR9zDYAjQIf\n',
    'private_key',
  ],
  [
    'RFC 7468 §11 (encrypted PKCS #8)',
    '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHNMEAGCSqGSIb3DQEFDTAzMBsGCSqGSIb3DQEFDDAOBAghhICA6T/51QICCAAw\n',
    'private_key',
  ],
  ['RFC 3986 §3.2.1, user information', 'ftp://cnn.example:s3cr3t-9@news.example/', 'url_password'],
  ['libpq, connection URI', 'postgresql://other:s3cretpass9@localhost/otherdb', 'url_password'],
];

describe('credentials', () => {
  for (const [what, text, kind] of VECTORS) {
    it(`${what}: ${kind}, alone and inside a text`, () => {
      assert.deepEqual(kinds(text), [kind]);
      assert.deepEqual(kinds(`See this: ${text} and go on.`), [kind]);
      assert.deepEqual(kinds(`line one\n${text}\nline two`), [kind]);
    });
    it(`${what}: in JSON and in JSON inside a string, with where it stands`, () => {
      const result = { content: [{ type: 'text', text: JSON.stringify({ note: `a\n${text}\nb` }) }] };
      const expected = [{ kind, at: '/content/0/text' }];
      assert.deepEqual(secretsInJson(JSON.stringify(result)).secrets, expected);
      assert.deepEqual(secretsInValue(result).secrets, expected);
    });
  }
  it('keys that this machine makes', () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    assert.deepEqual(kinds(pem), ['private_key']);
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    assert.deepEqual(kinds(publicKey.export({ type: 'spki', format: 'pem' }).toString()), []);
  });
  it('names tell what a value is', () => {
    for (const text of [
      'password=Tr0ub4dor&3',
      "DB_PASSWORD: 'kx92-Vmz0'",
      '{"clientSecret":"d8e8fca2dc0f896fd7cb4cb0031ba249"}',
      'api_key: 550e8400-e29b-41d4-a716-446655440000',
      'export API_TOKEN=k3Jx9QmZr7TbWv5YpLs2',
      'AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
    ])
      assert.deepEqual(kinds(text), ['assigned_secret'], text);
    assert.deepEqual(secretsInJson('{"login":{"password":"Tr0ub4dor&3"}}').secrets, [
      { kind: 'assigned_secret', at: '/login/password' },
    ]);
  });
});

describe('what is no secret', () => {
  const hash = (name: string, encoding: 'hex' | 'base64'): string =>
    createHash(name).update('abc').digest(encoding);
  const harmless: readonly string[] = [
    UUID,
    `token: ${UUID}`,
    `id=${UUID}`,
    ...['md5', 'sha1', 'sha256', 'sha512'].flatMap((name) => [
      hash(name, 'hex'),
      hash(name, 'base64'),
      `token: ${hash(name, 'hex')}`,
      `password_hash=${hash(name, 'hex')}`,
    ]),
    // A picture of one pixel.
    'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'order 4111111111111111, invoice 2026-0000-1111-2222',
    'ISBN 978-3-16-148410-0, EAN 4006381333931, IMEI 490154203237518',
    '2026-11-26T02:39:05.123Z 1732588745123456789',
    'password: required',
    'password: your_password',
    'password=${DB_PASSWORD}',
    'password: "{{ vault.db }}"',
    'secret: getSecret("x9")',
    'token: string',
    'max_tokens: 4096, next_page_token=CAUQAA1234567890abcdefgh',
    'The password must have at least 8 characters.',
    'const token = process.env.API_TOKEN1;',
    'api_key: xxxxxxxxxxxxxxxx1',
    'https://user@example.com/a:b@c',
    'https://example.com:8443/@ann',
    'mailto:a@example.com?subject=x:y@z',
    '-----BEGIN PRIVATE KEY----- is how such a file begins',
    '-----BEGIN CERTIFICATE-----\nMIICLDCCAdKgAwIBAgIBADAKBggqhkjOPQQDAjB9MQswCQYDVQQGEwJCRTEPMA0G',
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl',
    'task-sk-learn-model-version-2026-11-26-final-build',
    'ghp_short eyJhbGciOiJub25lIn0 AKIA1234',
  ];
  for (const text of harmless) {
    it(text.slice(0, 60), () => {
      assert.deepEqual(secretsIn(text), []);
      assert.deepEqual(secretsInJson(JSON.stringify({ text })).secrets, []);
      assert.deepEqual(secretsInValue({ text }).secrets, []);
    });
  }
});

describe('what is told of a secret', () => {
  const key = 'AKIAIOSFODNN7EXAMPLE';
  it('is its kind and place, never a part of it, even where it is a name', () => {
    const body = { a: [{ [key]: 1 }], [`x ${key}`]: { b: key } };
    const { secrets } = secretsInValue(body);
    assert.deepEqual(
      secrets.map(({ at }) => at),
      ['/a/0/*', '/*', '/*/b'],
    );
    assert.ok(!JSON.stringify(secrets).includes('IOSFODNN'));
  });
  it('is bounded', () => {
    const many = Array.from({ length: 1_000 }, () => key);
    assert.equal(secretsInValue(many).secrets.length, 16);
    const far = JSON.stringify([' '.repeat(2_000), key]);
    assert.deepEqual(secretsInJson(far, { maxLookedAt: 1_000 }), { secrets: [], cut: true });
    assert.deepEqual(secretsInJson(far, { maxLookedAt: 4_000 }).secrets, [
      { kind: 'aws_access_key_id', at: '/1' },
    ]);
    assert.deepEqual(secretsInValue([' '.repeat(2_000), key], { maxLookedAt: 1_000 }), {
      secrets: [],
      cut: true,
    });
  });
  it('is nothing of a kind that the operator does not want looked for', () => {
    assert.deepEqual(secretsInValue([key], { ignore: new Set(['aws_access_key_id'] as const) }).secrets, []);
  });
});
