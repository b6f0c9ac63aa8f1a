import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { isPublicAddress } from '../../../services/respond/address.ts';
import { sendTestDelivery, sendWebhook, signatureHeaders } from '../../../services/respond/webhook.ts';

suite('signature', () => {
  test('vector of Standard Webhooks', () => {
    const headers = signatureHeaders(
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', body: '{"test": 2432232314}' },
      1_614_265_330_999,
    );
    assert.deepEqual(headers, {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });
});

suite('addresses a webhook may go to', () => {
  const refused =
    `0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 172.31.255.255
    192.168.1.1 192.0.2.1 198.18.0.1 224.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1
    fe80::1 fc00::1 fd00::1 ff02::1 2001:db8::1 2002:7f00:1:: 2001::1 fec0::1 100::1`.split(/\s+/);
  for (const address of refused)
    test(`${address} is refused`, () => assert.equal(isPublicAddress(address), false));
  for (const address of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111', '2a00:1450::1'])
    test(`${address} is allowed`, () => assert.equal(isPublicAddress(address), true));
});

suite('a destination whose address is private', () => {
  const message = { id: 'm', body: '{}' };
  const destination = {
    name: 'd',
    allowPrivate: false,
    timeoutMs: 2000,
    secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  };
  const forms = [
    'http://127.0.0.1:1/',
    'http://[::1]:1/',
    'http://2130706433:1/',
    'http://0x7f.1:1/',
    'http://[::ffff:7f00:1]:1/',
  ];
  for (const url of forms)
    test(`${url} is refused before a connection`, async () => {
      const outcome = await sendWebhook({ ...destination, url }, message, { nowMs: 0 });
      assert.deepEqual(outcome, { kind: 'failed', reason: 'address_refused' });
    });

  test('a public name that also resolves to a private address is refused', async () => {
    const outcome = await sendWebhook({ ...destination, url: 'http://hooks.example/' }, message, {
      nowMs: 0,
      resolveHost: () =>
        Promise.resolve([
          { address: '8.8.8.8', family: 4 },
          { address: '169.254.169.254', family: 4 },
        ]),
    });
    assert.deepEqual(outcome, { kind: 'failed', reason: 'address_refused' });
  });

  test('a name that does not resolve is a network fault; a resolver that hangs is a timeout', async () => {
    const unknown = await sendWebhook({ ...destination, url: 'http://hooks.example/' }, message, {
      nowMs: 0,
      resolveHost: () => Promise.reject(new Error('ENOTFOUND')),
    });
    assert.deepEqual(unknown, { kind: 'failed', reason: 'network' });
    const hanging = await sendWebhook(
      { ...destination, timeoutMs: 50, url: 'http://hooks.example/' },
      message,
      {
        nowMs: 0,
        resolveHost: () => new Promise(() => undefined),
      },
    );
    assert.deepEqual(hanging, { kind: 'failed', reason: 'timeout' });
  });

  test('a secret that is no secret is said, not thrown', async () => {
    const url = 'http://127.0.0.1:1/';
    const sent = await sendTestDelivery({ ...destination, url, secret: 'whsec_' }, { nowMs: 0, id: '00' });
    assert.equal(sent.delivered, false);
  });
});
