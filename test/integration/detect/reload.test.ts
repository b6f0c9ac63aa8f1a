/** Rules are read again while they run: what goes on, what begins anew, and what is on record of it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AuditBody } from '../../../schemas/audit/v1.ts';
import type { Config } from '../../../schemas/config/v1.ts';
import { zConfig } from '../../../schemas/config/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { BusProducer } from '../../../services/platform/bus/port.ts';
import type { EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import { alertsOf, openBus, recordsOf, runDetect, sendCall, until } from './harness.ts';

const BY = { actor: 'alice', role: 'admin', target: '/v1/rules/reload' };
const TIME_MS = Date.now() - 10_000;

const chain = (id: string, steps: readonly string[], more = ''): string => `id: ${id}
title: T
level: low
key: session
events:
${steps.map((tool) => `  ${tool}: { tool.name: ${tool} }`).join('\n')}
sequence: [${steps.join(', ')}]
within: 10m
${more}`;

const JOIN = (first: string): string => `join: [${first}.agent == c.agent]\n`;

const acrossSessions = (id: string, tool: string): string => `id: ${id}
title: T
level: low
key: agent
events:
  first: { tool.name: a }
  last: { tool.name: ${tool} }
sequence: [first, last]
within: 10m
join: [first.session != last.session]
`;

interface Place {
  readonly bus: EmbeddedBus;
  readonly producer: BusProducer;
  readonly rules: string;
  readonly config: Config;
  readonly write: (name: string, text: string) => void;
  readonly send: (session: string, seq: number, tool: string) => Promise<void>;
}

async function openPlace(t: { after: (fn: () => Promise<void>) => void }): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-reload-'));
  const rules = join(dir, 'rules');
  mkdirSync(rules);
  const bus = await openBus(join(dir, 'bus'));
  t.after(async () => {
    await bus.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const producer = await bus.producer();
  return {
    bus,
    producer,
    rules,
    config: zConfig.parse({
      rules: { builtin: false, directories: [rules] },
      detect: { snapshotEveryMs: 3_600_000 },
    }),
    write: (name, text) => writeFileSync(join(rules, name), text),
    send: (session, seq, tool) =>
      sendCall(producer, { session, seq, tool, agent: 'bot', timeMs: TIME_MS + seq * 1000 }),
  };
}

const told = async (bus: EmbeddedBus): Promise<string[]> => [
  ...new Set((await alertsOf(bus)).map(({ alert }) => `${alert.ruleId} ${alert.id}`)),
];
const ids = async (bus: EmbeddedBus): Promise<string[]> =>
  (await told(bus)).map((text) => text.split(' ')[0] ?? '').toSorted();

async function readEvents(detect: Awaited<ReturnType<typeof runDetect>>): Promise<number> {
  const metric = await detect.metrics.getSingleMetric('tripline_detect_events_total')?.get();
  return metric?.values[0]?.value ?? 0;
}

test('a chain that began before another rule was loaded completes with the id of an undisturbed run', async (t) => {
  const [quiet, place] = [await openPlace(t), await openPlace(t)];
  for (const { write } of [quiet, place]) {
    write('kept.yaml', chain('t.kept', ['a', 'b', 'c']));
    write('other.yaml', chain('t.other', ['a', 'c'], JOIN('a')));
    // Guards keep states of another kind than plain sequences; comparisons a third.
    write(
      'guarded.yaml',
      chain('t.guarded', ['a', 'c'], 'without: [{ event: a, between: [a, c] }]\nlate: { wait: 0s }\n'),
    );
    write('joined.yaml', chain('t.joined', ['a', 'c'], JOIN('a')));
  }
  const undisturbed = await runDetect(quiet.bus, quiet.config);
  const audited: AuditBody[] = [];
  const detect = await runDetect(place.bus, place.config, { audited });
  for (const { send } of [quiet, place]) {
    await send('s1', 0, 'a');
    await send('s1', 1, 'b');
  }
  await until(async () => (await readEvents(detect)) === 2, 5_000, 'both events read');
  place.write('other.yaml', chain('t.other', ['b', 'c'], JOIN('b')));
  place.write('new.yaml', chain('t.new', ['b', 'c'], JOIN('b')));
  const reloaded = await detect.reload(BY);
  assert.deepEqual(reloaded, {
    added: ['t.new'],
    removed: [],
    changed: ['t.other'],
    adjusted: [],
    kept: [],
    rules: 5,
    faults: [],
  });
  for (const { send } of [quiet, place]) await send('s1', 2, 'c');
  const kept = ['t.guarded', 't.joined', 't.kept'];
  await until(async () => (await ids(place.bus)).length >= 3, 10_000, 'alerts');
  await until(async () => (await ids(quiet.bus)).length === 4, 10_000, 'undisturbed alerts');
  await Promise.all([detect.stop(), undisturbed.stop()]);
  const known = new Set(await told(quiet.bus));
  const own = (await told(place.bus)).filter((text) => kept.some((id) => text.startsWith(`${id} `)));
  assert.equal(own.length, 3);
  assert.deepEqual(
    own.filter((text) => !known.has(text)),
    [],
  );
  // What the two that are new did not see before they were there stays unseen.
  assert.deepEqual(await ids(place.bus), kept);
  assert.deepEqual(audited, [
    {
      action: 'rules.load',
      ...BY,
      outcome: 'ok',
      details: {
        added: 't.new',
        removed: '',
        changed: 't.other',
        adjusted: '',
        kept: '',
        rules: 5,
        faults: 0,
        fault: '',
      },
    },
  ]);
});

test('a file that is broken leaves the others running, and its own rule as it was', async (t) => {
  const { bus, config, write, send } = await openPlace(t);
  write('a.yaml', chain('t.a', ['a', 'b']));
  write('b.yaml', chain('t.b', ['a', 'b']));
  write('c.yaml', chain('t.c', ['a', 'b']));
  const audited: AuditBody[] = [];
  const detect = await runDetect(bus, config, { audited });
  await send('s1', 0, 'a');
  await until(async () => (await readEvents(detect)) === 1, 5_000, 'event read');
  write('b.yaml', `${chain('t.b', ['a', 'b'])}sequnce: [a]\n`);
  rmSync(join(config.rules.directories[0] ?? '', 'c.yaml'));
  const { kept, removed, faults, rules } = await detect.reload(BY);
  assert.deepEqual([kept, removed, faults.length, rules], [['t.b'], ['t.c'], 1, 2]);
  assert.match(detect.health().detail, /2 rules, .* 1 faults in rule files/);
  await send('s1', 1, 'b');
  await until(async () => (await ids(bus)).length >= 2, 5_000, 'alerts');
  await detect.stop();
  assert.deepEqual(await ids(bus), ['t.a', 't.b']);
  assert.match(String(audited[0]?.details?.['fault']), /b\.yaml:\d+: .*sequnce/);
});

test('a configuration that is none any more changes nothing, and that is on record', async (t) => {
  const { bus, config, write } = await openPlace(t);
  write('a.yaml', chain('t.a', ['a', 'b']));
  const audited: AuditBody[] = [];
  const readRules = (): Config['rules'] => zConfig.parse({ rules: { builtin: 7 } }).rules;
  const detect = await runDetect(bus, config, { audited, readRules });
  await assert.rejects(detect.reload(BY));
  assert.match(detect.health().detail, /^1 rules/);
  assert.deepEqual(audited, [
    { action: 'rules.load', ...BY, outcome: 'failed', details: { code: 'internal' } },
  ]);
  await detect.stop();
});

test('mode and exceptions of a rule are adjusted; what the configuration turns off is removed', async (t) => {
  const { bus, config, write } = await openPlace(t);
  write('a.yaml', chain('t.a', ['a', 'b']));
  write('b.yaml', chain('t.b', ['a', 'b']));
  const readRules = (): Config['rules'] => ({ ...config.rules, modes: { 't.a': 'shadow', 't.b': 'off' } });
  const detect = await runDetect(bus, config, { audited: [], readRules });
  const { adjusted, removed, changed } = await detect.reload(BY);
  await detect.stop();
  assert.deepEqual([adjusted, removed, changed], [['t.a'], ['t.b'], []]);
});

test('a rule over sessions that is loaded while others run is fed from there on; nothing is read again, not even by the next life', async (t) => {
  const { bus, config, write, send } = await openPlace(t);
  write('chain.yaml', chain('t.chain', ['a', 'z']));
  let detect = await runDetect(bus, config, { audited: [] });
  await send('s1', 0, 'a');
  await until(async () => (await readEvents(detect)) === 1, 5_000, 'event read');
  write('across.yaml', acrossSessions('t.across', 'b'));
  assert.deepEqual((await detect.reload(BY)).added, ['t.across']);
  // The a of s1 came before the rule: only that of s2 counts.
  await send('s3', 0, 'b');
  await until(async () => (await readEvents(detect)) === 2, 5_000, 'second event read');
  await send('s2', 0, 'a');
  await until(async () => (await readEvents(detect)) === 3, 5_000, 'third event read');
  await send('s3', 1, 'b');
  await until(async () => (await ids(bus)).length > 0, 20_000, 'alert of stage two');
  assert.deepEqual(
    (await alertsOf(bus)).map(({ alert }) => alert.calls.map(({ session }) => session)),
    [['s2', 's3']],
  );
  assert.equal(await readEvents(detect), 4);
  const manifests = async (): Promise<number> =>
    (await recordsOf(bus, TOPICS.detectState.name)).filter(
      ({ key }) => key !== null && new TextDecoder().decode(key).includes(`${TOPICS.toolcalls.name}\0`),
    ).length;
  await until(async () => (await manifests()) > 0, 5_000, 'a snapshot by the new rules');
  await detect.stop();
  // The next life goes on from that snapshot, although other tenant rules than at its start hold.
  detect = await runDetect(bus, config);
  await send('s1', 1, 'z');
  await until(async () => (await ids(bus)).includes('t.chain'), 10_000, 'chain over reload and restart');
  assert.ok((await readEvents(detect)) < 5, 'the log was not read from its start');
  await detect.stop();
});
