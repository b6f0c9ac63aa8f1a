/**
 * The page that verifies a bundle, opened from the disk and as the service serves it, in a real browser: what it finds, that
 * it asks nobody, by keyboard alone, light and dark, and how fast it is.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { buildPage } from '../../../dashboards/verify/build.ts';
import { STEPS } from '../../../schemas/config/v1.ts';
import { startService, type Service } from '../../../services/cli/service.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { createLogger } from '../../../services/platform/telemetry/log.ts';
import type { RunningWitness } from '../../../services/witness/main.ts';
import { openWitness, rootVkey, writePolicy } from '../../support/tlog/witnesses.ts';
import { linesOf, person } from '../../support/erasure/people.ts';
import { eventually, openPlace, tripline, type Place } from '../cli/harness.ts';
import { findBrowser, startBrowser, type Browser, type OpenPage } from './browser.ts';
import { CONSOLE_DIR } from './fixture.ts';

const executable = findBrowser();
const SHOTS = resolve(import.meta.dirname, '../../../coverage/console');
const EVENTS = 4000;
const HOSTILE = '<img src=x onerror=alert(1)>\u202E';

const line = (at: number): string =>
  JSON.stringify({
    v: 1,
    kind: 'call.intent',
    time: '2026-11-25T12:00:00.000Z',
    session: 'of the page',
    agent: HOSTILE,
    callId: String(at),
    server: 'web',
    tool: 'fetch',
    args: { url: `https://example.org/${at}`, text: 'x'.repeat(400) },
  });

async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate<readonly { id: string; nodes: readonly { html: string }[] }[]>(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }).then((result) => result.violations)`,
  );
  return found.flatMap((item) => item.nodes.map((node) => `${item.id}: ${node.html}`));
}

describe('the page that verifies', { skip: executable === undefined ? 'no browser' : false }, () => {
  let place: Place;
  let browser: Browser;
  let service: Service;
  let dir: string;
  let url: string;
  let policy: string;
  let bundle: string;
  const witnesses: RunningWitness[] = [];

  async function exportWitnessed(): Promise<void> {
    const dataDir = join(place.dir, 'data');
    const vkey = await rootVkey(dataDir);
    for (const name of ['w1.example', 'w2.example'])
      witnesses.push(await openWitness(name, join(place.dir, name), [vkey]));
    policy = join(place.dir, 'policy');
    writePolicy(policy, vkey, witnesses, 2);
    const file = join(place.dir, 'tripline.yaml');
    const rootLog = { policyFile: policy, epochMs: 100, cosignEveryMs: 1000 };
    writeFileSync(file, JSON.stringify({ rootLog, rules: { builtin: false } }));
    const config = loadConfig({
      file,
      env: { TRIPLINE_DATA_DIR: dataDir },
      overrides: [{ path: ['http', 'port'], value: 0 }],
    });
    service = await startService({
      config,
      steps: STEPS,
      log: createLogger({ level: 'silent' }),
      announce: true,
    });
    const token = readFileSync(join(dataDir, 'producer.token'), 'utf8').trim();
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' };
    for (let from = 0; from < EVENTS; from += 500) {
      const body = Array.from({ length: 500 }, (_, at) => `${line(from + at)}\n`).join('');
      const response = await fetch(`${service.url}/v1/events`, { method: 'POST', headers, body });
      assert.equal(response.status, 202);
    }
    const env = { TRIPLINE_DATA_DIR: dataDir };
    const ran = await eventually(
      () => tripline(env, ['verify', '--json', '--policy', policy]),
      (last) => last.exitCode === 0 && Number(last.items()[0]?.['entries']) >= EVENTS,
    );
    assert.equal(ran.exitCode, 0, ran.out);
    assert.equal((await tripline(env, ['export', '--out', dir])).exitCode, 0);
    bundle = join(dir, 'bundle.ndjson');
  }

  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    dir = mkdtempSync(join(tmpdir(), 'tripline-verify-page-'));
    // Before the service starts: it serves what is built by then.
    await buildPage(join(CONSOLE_DIR, 'verify.html'));
    await buildPage(join(dir, 'verify.html'));
    url = pathToFileURL(join(dir, 'verify.html')).href;
    place = await openPlace();
    await exportWitnessed();
    browser = await startBrowser(executable ?? '');
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
    for (const witness of witnesses) await witness.stop();
    await place?.remove();
    rmSync(dir, { recursive: true, force: true });
  });

  async function choose({ page }: OpenPage, file: string): Promise<string> {
    await page.setInputFiles('#bundle', file);
    return await verdict(page);
  }
  async function verdict(page: Page): Promise<string> {
    await page.locator('#result[data-verdict]').waitFor({ timeout: 120_000 });
    return (await page.locator('#result').getAttribute('data-verdict')) ?? '';
  }
  function changed(name: string, change: (text: string) => string): string {
    const file = join(dir, name);
    writeFileSync(file, change(readFileSync(bundle, 'utf8')));
    return file;
  }
  const close = async ({ page, complaints, urls }: OpenPage): Promise<void> => {
    assert.deepEqual(complaints, []);
    assert.deepEqual(urls.filter((one) => !one.startsWith('data:')).length, 1, urls.join(' '));
    await page.close();
  };

  it('starts empty, says so, and keeps what it is given to itself', async () => {
    const opened = await browser.open(url);
    assert.equal(await opened.page.locator('#progress').textContent(), 'No bundle yet.');
    assert.equal(await opened.page.locator('#again').isDisabled(), true);
    assert.deepEqual(await violations(opened.page), []);
    await opened.page.screenshot({ path: join(SHOTS, 'verify-empty.png') });
    await close(opened);
  });

  it('verifies what is chosen, tells who vouches by the policy, and how fast it was', async () => {
    const opened = await browser.open(url);
    const { page } = opened;
    await page.locator('#trust summary').click();
    await page.locator('#policy').fill(readFileSync(policy, 'utf8'));
    assert.equal(await choose(opened, bundle), 'verified_witnessed');
    const text = (await page.locator('#result').textContent()) ?? '';
    assert.match(text, /Verified, and witnesses vouch for it/);
    assert.match(text, /Cosigned byw1, w2/);
    const progress = (await page.locator('#progress').textContent()) ?? '';
    const [, entries, rate] = /^Done: (\d+) entries in [\d.]+ s, (\d+) a second\.$/.exec(progress) ?? [];
    assert.ok(Number(entries) >= EVENTS, progress);
    process.stderr.write(`browser: ${rate} entries a second\n`);
    assert.deepEqual(await violations(page), []);
    await page.screenshot({ path: join(SHOTS, 'verify-sound.png'), fullPage: true });
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await violations(page), []);
    await page.screenshot({ path: join(SHOTS, 'verify-sound-dark.png'), fullPage: true });
    await close(opened);
  });

  it('shows the first fault of an altered bundle, as text whatever it holds', async () => {
    const opened = await browser.open(url);
    const file = changed('altered.ndjson', (text) => text.replace('"tool":"fetch"', '"tool":"fetched"'));
    assert.equal(await choose(opened, file), 'invalid');
    const text = (await opened.page.locator('#result').textContent()) ?? '';
    assert.match(text, /codeprojection_altered/);
    assert.match(text, /events\.tool/);
    assert.equal(await opened.page.locator('#result img').count(), 0);
    assert.deepEqual(await violations(opened.page), []);
    await opened.page.screenshot({ path: join(SHOTS, 'verify-altered.png'), fullPage: true });
    await opened.page.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await violations(opened.page), []);
    await opened.page.screenshot({ path: join(SHOTS, 'verify-altered-dark.png'), fullPage: true });
    await close(opened);
  });

  it('tells what was cut off from what was changed, and what is no bundle from both', async () => {
    const opened = await browser.open(url);
    assert.equal(
      await choose(
        opened,
        changed('cut.ndjson', (text) => text.slice(0, -300)),
      ),
      'incomplete',
    );
    assert.equal(
      await choose(
        opened,
        changed('none.ndjson', () => 'nothing\n'),
      ),
      'failed',
    );
    await opened.page.locator('#trust summary').click();
    await opened.page.locator('#key').fill('no key');
    assert.equal(await choose(opened, bundle), 'failed');
    assert.match((await opened.page.locator('#result').textContent()) ?? '', /no Ed25519 key/);
    await close(opened);
  });

  it('is used by keyboard alone', async () => {
    const opened = await browser.open(url);
    const { page } = opened;
    // Asked for first: the browser is told to hand choosers over by a message of its own, which Enter could overtake.
    const chooser = page.waitForEvent('filechooser');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(`document.activeElement.id`), 'bundle');
    await page.keyboard.press('Enter');
    await (await chooser).setFiles(bundle);
    assert.equal(await verdict(page), 'verified');
    assert.equal(await page.evaluate(`document.activeElement.id`), 'result');
    await close(opened);
  });

  it('takes a drop anywhere on the window', async () => {
    const opened = await browser.open(url);
    await opened.page.evaluate(
      `((text) => {
        const data = new DataTransfer();
        data.items.add(new File([text], 'bundle.ndjson'));
        window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, cancelable: true }));
      })(${JSON.stringify(readFileSync(bundle, 'utf8'))})`,
    );
    assert.equal(await verdict(opened.page), 'verified');
    await close(opened);
  });

  it('is served by the service under its own policy, which allows no request to anybody', async () => {
    const opened = await browser.open(`${service.url}/verify.html`);
    assert.equal(await choose(opened, bundle), 'verified');
    const refused = await opened.page.evaluate(`fetch('/healthz').then(() => 'sent', () => 'refused')`);
    assert.equal(refused, 'refused');
    assert.ok(
      opened.complaints.every((text) => /Content Security Policy|Failed to fetch|Refused/i.test(text)),
    );
    await opened.page.close();
  });

  it('says of a bundle in either form what was erased, and that it was authorised', async () => {
    const someone = person(1);
    const env = { TRIPLINE_DATA_DIR: join(place.dir, 'data') };
    const token = readFileSync(join(env.TRIPLINE_DATA_DIR, 'producer.token'), 'utf8').trim();
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' };
    const body = `${linesOf(someone).join('\n')}\n`;
    assert.equal((await fetch(`${service.url}/v1/events`, { method: 'POST', headers, body })).status, 202);
    await eventually(
      () => tripline(env, ['session', someone.session, '--json']),
      ({ exitCode }) => exitCode === 0,
    );
    const erase = ['erase', '--session', someone.session, '--reason', 'request 1'];
    assert.equal((await tripline(env, erase)).exitCode, 0);
    const opened = await browser.open(url);
    for (const [format, name] of [
      ['binary', 'bundle.tripline'],
      ['ndjson', 'bundle.ndjson'],
    ] as const) {
      const out = join(dir, `erased-${format}`);
      const scope = ['--session', someone.session, '--format', format];
      assert.equal((await tripline(env, ['export', '--out', out, ...scope])).exitCode, 0);
      assert.equal(await choose(opened, join(out, name)), 'verified');
      const text = (await opened.page.locator('#result').textContent()) ?? '';
      assert.match(text, /Erased \(authorised\)2 entries, by 1 ERASURE entries/);
    }
    assert.deepEqual(await violations(opened.page), []);
    await close(opened);
  });
});
