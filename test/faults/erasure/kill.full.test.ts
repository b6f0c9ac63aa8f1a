/** kill -9 in the middle of erasing one of 1,000 principals, again and again: the next life finishes it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { filesHolding, linesOf, person } from '../../support/erasure/people.ts';
import { settled } from '../../support/scenario/ledger.ts';
import { seededRandom } from '../../support/scenario/random.ts';
import { killAll, lastLines, tripline, up, type Tripline } from '../../support/scenario/tripline.ts';

const PEOPLE = Array.from({ length: 1000 }, (_, number) => person(number));
const VICTIMS = 3;
const KILLS_EACH = 3;
const WITHIN_MS = 180_000;

describe('kill -9 while a principal is erased', () => {
  const root = mkdtempSync(join(tmpdir(), 'tripline-erase-'));
  const dataDir = join(root, 'data');
  const logFile = join(root, 'service.log');
  const start = (): Tripline => up({ dataDir, logFile });
  const secret = (name: string): string => readFileSync(join(dataDir, name), 'utf8').trim();
  let service: Tripline;
  before(async () => {
    service = start();
    const url = await service.url;
    const file = join(root, 'events.ndjson');
    writeFileSync(file, PEOPLE.flatMap((one) => linesOf(one)).join('\n'));
    const env = { TRIPLINE_URL: url, TRIPLINE_TOKEN: secret('producer.token') };
    assert.equal((await tripline(['replay', file], env)).code, 0);
    await settled(() => url, secret('admin.token'), WITHIN_MS);
  });
  after(async () => {
    await killAll();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  async function ask(principal: string): Promise<string> {
    const response = await fetch(`${await service.url}/v1/erasures`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret('admin.token')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ principal, reason: 'request' }),
    });
    assert.equal(response.status, 202);
    return ((await response.json()) as { id: string }).id;
  }

  /** How far it came, for the message of a failed test. */
  function phaseOf(id: string): string {
    const intent: unknown = JSON.parse(readFileSync(join(dataDir, 'erasures', `${id}.intent.json`), 'utf8'));
    return JSON.stringify(intent, ['id', 'phase', 'subjects', 'logs', 'log', 'indexes']);
  }

  async function finished(id: string): Promise<void> {
    const endMs = Date.now() + WITHIN_MS;
    const outcome = join(dataDir, 'erasures', `${id}.outcome.json`);
    for (;;) {
      const names = readdirSync(join(dataDir, 'erasures'));
      if (names.includes(`${id}.outcome.json`) && !names.includes(`${id}.intent.json`)) break;
      assert.ok(Date.now() < endMs, `not finished: ${phaseOf(id)}\n${lastLines(logFile)}`);
      await sleep(200);
    }
    assert.equal((JSON.parse(readFileSync(outcome, 'utf8')) as { outcome: string }).outcome, 'erased');
  }

  it(`finishes ${VICTIMS} erasures through ${VICTIMS * KILLS_EACH} kills`, async () => {
    const random = seededRandom('kill-erasure');
    for (let victim = 0; victim < VICTIMS; victim += 1) {
      const { principal, said } = PEOPLE[victim * 100] ?? person(0);
      assert.notDeepEqual(filesHolding(dataDir, [said]), []);
      const id = await ask(principal);
      for (let kill = 0; kill < KILLS_EACH; kill += 1) {
        await sleep(random.between(0, 2500));
        await service.kill();
        const { code, items, stderr } = await tripline(['verify'], { TRIPLINE_DATA_DIR: dataDir });
        assert.equal(code, 10, `${stderr} ${JSON.stringify(items.at(-1)?.['firstFault'])}`);
        service = start();
        await service.url;
      }
      await finished(id);
      assert.deepEqual(filesHolding(dataDir, [said, principal]), []);
    }
    const url = await service.url;
    await settled(() => url, secret('admin.token'), WITHIN_MS);
    assert.equal(await service.stop(), 0);
    const { code, items } = await tripline(['verify'], { TRIPLINE_DATA_DIR: dataDir });
    assert.deepEqual([code, items.at(-1)?.['firstFault']], [10, null]);
    assert.equal(items.at(-1)?.['erased'], 2 * VICTIMS);
  });

  it('keeps what all others said, to the byte', async () => {
    const out = join(root, 'bundle');
    assert.equal((await tripline(['export', '--out', out], { TRIPLINE_DATA_DIR: dataDir })).code, 0);
    const held = new Set<string>();
    for (const text of readFileSync(join(out, 'bundle.ndjson'), 'utf8').split('\n')) {
      if (text === '') continue;
      const { payloads = [] } = JSON.parse(text) as { payloads?: { bytes: string }[] };
      for (const { bytes } of payloads) held.add(Buffer.from(bytes, 'base64').toString('utf8'));
    }
    // What a person said was made anew here: its time is another one.
    const stable = (line: string): string => line.replace(/"time":"[^"]*"/u, '');
    const kept = new Set([...held].map(stable));
    const missing = PEOPLE.filter(
      (one, number) =>
        !(number % 100 === 0 && number < VICTIMS * 100) &&
        !linesOf(one).every((line) => kept.has(stable(line))),
    );
    assert.deepEqual(missing, []);
  });
});
