/**
 * The built page in a real browser, against fixed answers of the API: what it shows, by keyboard alone, with hostile
 * names, empty, failing, narrow, light and dark; its rights on the network and its accessibility.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { ALERT_ID, EVENT_ID, SESSION, XSS } from './answers.ts';
import { findBrowser, startBrowser, type Browser, type OpenPage } from './browser.ts';
import { CONSOLE_DIR, startFixture, TOKEN, type Fixture } from './fixture.ts';

const executable = findBrowser();
const SHOTS = join(import.meta.dirname, '../../../coverage/console');
const VIEWS = ['live', 'alerts', 'sessions', 'ledger', 'controls', 'approvals'] as const;

interface AxeViolation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** Rules of WCAG 2.0-2.2 A and AA, colour contrast included, as axe-core computes them. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source); // by the debugger: the page's own policy stays as strict as it is
  const found = await page.evaluate<readonly AxeViolation[]>(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }).then((result) => result.violations)`,
  );
  return found.flatMap((item) => item.nodes.map((node) => `${item.id}: ${node.html} ${node.failureSummary}`));
}

async function signIn(browser: Browser, fixture: Fixture): Promise<OpenPage> {
  const opened = await browser.open(`${fixture.url}/#token=${TOKEN}`);
  await opened.page.getByText('live', { exact: true }).waitFor();
  return opened;
}

async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
}

/** Accessible name, near enough, of the element that has the focus. */
const FOCUSED_NAME = `(() => {
  const element = document.activeElement;
  return element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent ?? '';
})()`;

const CHANGE_ADDRESS_BEFORE_LISTENING = `(() => {
  const listen = window.addEventListener;
  window.addEventListener = (type, ...rest) => {
    if (type === 'hashchange') history.replaceState(null, '', '#/alerts');
    listen.call(window, type, ...rest);
  };
})()`;

/** Presses Tab until the element with this accessible name has the focus. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate<string>(FOCUSED_NAME);
    if (name.test(focused)) return;
  }
  assert.fail(`no element named ${String(name)} is reached with Tab`);
}

describe('console', { skip: executable === undefined ? 'no browser' : false }, () => {
  let fixture: Fixture;
  let browser: Browser;

  before(async () => {
    assert.ok(existsSync(join(CONSOLE_DIR, 'index.html')), 'dist/console is missing: npm run build:console');
    mkdirSync(SHOTS, { recursive: true });
    fixture = await startFixture();
    browser = await startBrowser(executable ?? '');
  });
  beforeEach(() => {
    fixture.mode = 'full';
    fixture.approvals = { mayAnswer: true, isLate: false };
  });
  after(async () => {
    await browser.close();
    await fixture.close();
  });

  it('takes the token out of the address bar and keeps it for the tab', async () => {
    const { page } = await signIn(browser, fixture);
    assert.equal(page.url(), `${fixture.url}/#/live`);
    assert.equal(await page.evaluate(`localStorage.getItem('tripline.token')`), null);
    await page.reload();
    await page.getByRole('heading', { name: 'Live', level: 1 }).waitFor();
    await page.close();
  });

  it('asks for a token, and says why where it is refused', async () => {
    const { page } = await browser.open(fixture.url);
    // The page is loaded before its script has drawn anything: keys pressed now would go nowhere.
    await page.getByLabel('Access token').waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(FOCUSED_NAME), 'Access token');
    await page.keyboard.type('wrong-token');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Live', level: 1 }).waitFor();
    await go(page, '#/alerts');
    await page.getByRole('alert').getByText('auth_invalid').waitFor();
    await page.close();
  });

  it('follows an address that changes while the page is being drawn', async () => {
    const { page } = await signIn(browser, fixture);
    // The address changes after the first drawing and before the page listens: no event tells of it.
    await page.addInitScript(CHANGE_ADDRESS_BEFORE_LISTENING);
    await page.reload();
    await page.getByRole('heading', { name: 'Alerts', level: 1 }).waitFor();
    await page.close();
  });

  it('shows events as they come, and holds them while paused', async () => {
    const { page, complaints } = await signIn(browser, fixture);
    fixture.emit();
    await page.locator('tbody tr').nth(12).waitFor();
    assert.equal(await page.locator('tbody tr').count(), 13);
    assert.match(await page.locator('tr.is-refused').innerText(), /refused[\s\S]*http_post/);
    await page.keyboard.press('p');
    fixture.emit();
    await page.getByRole('button', { name: 'Continue (13 new)' }).waitFor();
    assert.equal(await page.locator('tbody tr').count(), 13);
    await page.keyboard.press('p');
    await page.locator('tbody tr').nth(25).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('read_secret');
    await page.locator('tbody tr').nth(4).waitFor({ state: 'detached' });
    assert.equal(await page.locator('tbody tr').count(), 4);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it('keeps a bounded number of rows under a burst of 5,000', async () => {
    const { page } = await signIn(browser, fixture);
    fixture.emitMany(5000);
    await page.getByText('5,000 events since').waitFor();
    assert.equal(await page.locator('tbody tr').count(), 300);
    await page.close();
  });

  it('leads from an alert to its call in the session', async () => {
    const { page, complaints } = await signIn(browser, fixture);
    await page.keyboard.press('2');
    const steps = page.getByRole('list', { name: 'Calls of the chain, in order' }).getByRole('listitem');
    await steps.nth(2).waitFor();
    assert.deepEqual(
      (await steps.allInnerTexts()).map((step) => /web_search|read_secret|http_post/.exec(step)?.[0]),
      ['web_search', 'read_secret', 'http_post'],
    );
    await tabTo(page, /^3 post\s*http_post/);
    await page.keyboard.press('Enter');
    await page.locator('.call-head[data-focus="true"]').waitFor();
    const focused = page.locator('.call-head:focus');
    assert.match(await focused.innerText(), /http_post/);
    assert.equal(await focused.getAttribute('aria-expanded'), 'true');
    assert.equal(await page.locator('.call.marked').count(), 3);
    assert.equal(await page.locator('.call.refused').count(), 1);
    assert.equal(await page.locator('.call').count(), 7);
    assert.match(await page.locator('.call-facts').innerText(), /4bf92f3577b34da6/);
    await page.keyboard.press('ArrowDown');
    assert.match(await page.locator('.call-head:focus').innerText(), /refused/);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it('takes the disposition of an alert by keyboard alone, with a reason, and shows it', async () => {
    const { page, complaints } = await signIn(browser, fixture);
    await page.keyboard.press('2');
    await page.getByText('No disposition yet.').waitFor();
    await tabTo(page, /^Set disposition: Secret read/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'What was this alert?' }).waitFor();
    assert.deepEqual(await violations(page), []);
    const submit = page.getByRole('button', { name: 'Put on record' });
    await tabTo(page, /^Disposition/);
    await page.keyboard.press('b');
    await page.getByText('expected or allowed').waitFor();
    assert.equal(await submit.isDisabled(), true);
    await tabTo(page, /^Reason/);
    await page.keyboard.type(`our own <b>wiki</b>`);
    await tabTo(page, /^Put on record$/);
    await page.keyboard.press('Enter');
    await page.getByText('On record as benign true positive.').waitFor();
    assert.deepEqual(fixture.posts.at(-1), {
      path: `/v1/alerts/${ALERT_ID}/disposition`,
      body: { disposition: 'benign_true_positive', reason: 'our own <b>wiki</b>' },
    });
    await page.locator('.disposition strong').getByText('benign true positive').waitFor();
    assert.match(await page.locator('.disposition').innerText(), /our own <b>wiki<\/b>\s+analyst-1/);
    assert.match(await page.evaluate<string>(FOCUSED_NAME), /^Change disposition: /);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it('keeps markup in names as text and shows characters that hide', async () => {
    const { page, complaints } = await signIn(browser, fixture);
    fixture.emit();
    await page.locator('tbody tr').nth(12).waitFor();
    await go(page, `#/sessions/${encodeURIComponent(SESSION)}`);
    await page.locator('.call').nth(6).waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.equal(await page.title(), 'Sessions · Tripline');
    assert.ok((await page.locator('h1').innerText()).includes('<b>run</b>'));
    await page.locator('.decisions .unfold').last().scrollIntoViewIfNeeded();
    assert.ok((await page.locator('.decisions').innerText()).includes(XSS));
    assert.deepEqual(await page.locator('.timeline .hidden-char').allInnerTexts(), ['U+202E', 'U+200B']);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it('sets and lifts a kill switch by keyboard alone', async () => {
    const { page, complaints } = await signIn(browser, fixture);
    await page.keyboard.press('5');
    await page.getByText('Nothing is stopped').waitFor();
    await tabTo(page, /^Scope/);
    // One key: a list starts a new search where two keys of a word come more than a second apart.
    await page.keyboard.press('a');
    await tabTo(page, /^Name of the agent/);
    await page.keyboard.type('research-agent');
    await tabTo(page, /^Reason/);
    await page.keyboard.type('posted a secret outside');
    await tabTo(page, /^Review/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByText('research-agent').waitFor();
    await tabTo(page, /^Stop calls$/);
    await page.keyboard.press('Enter');
    await page.locator('.control-card').waitFor();
    assert.deepEqual(fixture.posts.at(-1)?.body, {
      scope: 'agent',
      target: 'research-agent',
      mode: 'enforce',
      ttlMs: 3_600_000,
      reason: 'posted a secret outside',
    });
    assert.match(await page.getByRole('timer').innerText(), /59 min \d+ s left|1 h 0 min left/);
    await tabTo(page, /^Lift: agent research-agent/);
    await page.keyboard.press('Enter');
    await page
      .getByRole('dialog')
      .getByLabel(/^Reason/)
      .waitFor();
    await tabTo(page, /^Reason/);
    await page.keyboard.type('mended');
    await tabTo(page, /^Lift$/);
    await page.keyboard.press('Enter');
    await page.getByText('Nothing is stopped').waitFor();
    assert.deepEqual(fixture.posts.at(-1)?.body, { reason: 'mended' });
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it('shows what waits for approval as it is, and approves one by keyboard alone', async () => {
    const { page, complaints } = await signIn(browser, fixture);
    await page.keyboard.press('6');
    const cards = page.locator('.approval-card');
    await cards.nth(3).waitFor();
    // Soonest over first: the hostile one, of which every character is to be seen.
    const first = cards.first();
    assert.equal(await page.locator('main img').count(), 0);
    assert.deepEqual(await first.locator('.exact .hidden-char').allInnerTexts(), [
      'U+202E',
      'U+202C',
      'U+200B',
      'U+200B',
    ]);
    assert.match(await first.innerText(), /4 characters in it cannot be seen/);
    assert.match(await first.innerText(), /The very same call was asked for before[\s\S]*denied by bob/);
    assert.match(await first.getByRole('timer').innerText(), /^4 min \d+ s left$/);
    assert.ok((await first.innerText()).includes('a1'.repeat(32)));
    await tabTo(page, /^Approve: mail\/send_mail/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Approve this call?' }).waitFor();
    assert.equal(await page.getByRole('dialog').locator('.hidden-char').count(), 4);
    assert.deepEqual(await violations(page), []);
    await page.screenshot({ path: join(SHOTS, 'approvals-dialog.png') });
    await tabTo(page, /^Reason/);
    await page.keyboard.type('I asked for this mail');
    await tabTo(page, /^Approve, once$/);
    await page.keyboard.press('Enter');
    await page.getByText('Approved and on record').waitFor();
    await page.locator('.approval-card').nth(3).waitFor({ state: 'detached' });
    assert.deepEqual(fixture.posts.at(-1), {
      path: `/v1/approvals/apr-${'1'.repeat(32)}/grant`,
      body: { argsHash: 'a1'.repeat(32), reason: 'I asked for this mail', ttlMs: 600_000 },
    });
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it('approves only what was shown whole, and says why somebody cannot approve', async () => {
    const { page } = await signIn(browser, fixture);
    await go(page, '#/approvals');
    const card = (name: RegExp) =>
      page.locator('.approval-card', { has: page.getByRole('article', { name }) });
    const long = card(/^files\/write_file/);
    await long.waitFor();
    const approve = long.getByRole('button', { name: /^Approve/ });
    assert.equal(await approve.isDisabled(), true);
    await long.getByRole('button', { name: /^Show all 5,014 characters/ }).click();
    assert.ok((await long.locator('.exact').innerText()).endsWith('END"}'));
    assert.equal(await approve.isDisabled(), false);
    for (const [name, words] of [
      [/^bank\/make_payment/, /The agent acts for you/],
      [/^mail\/send_mail, asked by <img/, /not those that the host hashed/],
    ] as const) {
      assert.match(await card(name).innerText(), words);
      assert.equal(
        await card(name)
          .getByRole('button', { name: /^Approve/ })
          .isDisabled(),
        true,
      );
      assert.equal(
        await card(name)
          .getByRole('button', { name: /^Refuse/ })
          .isDisabled(),
        false,
      );
    }
    fixture.approvals = { mayAnswer: false, isLate: false };
    await go(page, '#/live');
    await go(page, '#/approvals');
    await page.getByText('You may read these and not answer them').waitFor();
    assert.equal(
      await page.locator('.approval-card button:enabled', { hasText: /Approve|Refuse/ }).count(),
      0,
    );
    assert.deepEqual(await violations(page), []);
    await page.close();
  });

  it('refuses a call, and tells who was faster', async () => {
    const { page } = await signIn(browser, fixture);
    fixture.approvals = { mayAnswer: true, isLate: true };
    await go(page, '#/approvals');
    await page.getByRole('button', { name: 'Refuse: bank/make_payment' }).click();
    const dialog = page.getByRole('dialog', { name: 'Refuse this call?' });
    await dialog.getByLabel(/^Reason/).fill('we do not pay this');
    await dialog.getByRole('button', { name: 'Refuse' }).click();
    await dialog.getByText('somebody else was faster').waitFor();
    assert.deepEqual(fixture.posts.at(-1)?.body, { reason: 'we do not pay this' });
    assert.deepEqual(await violations(page), []);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    const row = page
      .getByRole('grid', { name: 'Answered, or over' })
      .locator('tr', { hasText: 'make_payment' });
    assert.match(await row.innerText(), /denied by bob/);
    await page.close();
  });

  it('counts the time down, and lets nobody answer what is over', async () => {
    const { page } = await signIn(browser, fixture);
    fixture.approvals = { mayAnswer: true, isLate: false, firstLeftMs: 3_000 };
    await go(page, '#/approvals');
    const first = page.locator('.approval-card').first();
    await first.getByText('over: nobody answered in time').waitFor();
    assert.equal(await first.getByRole('button', { name: /^Approve/ }).isDisabled(), true);
    await page.close();
  });

  it('marks calls with what the host said, data labels and who vouches', async () => {
    const { page } = await signIn(browser, fixture);
    await go(page, `#/sessions/${encodeURIComponent(SESSION)}`);
    await page.getByText('12 of 16 events in 2 streams').waitFor();
    const call = page.locator('.call', { hasText: 'deny/mail' });
    assert.match(await call.innerText(), /would be refused: deny\/mail/);
    await call.locator('.call-head').click();
    assert.match(await call.innerText(), /desk version 7, mode shadow: refuse by deny\/mail/);
    assert.match(await call.innerText(), /12 of 14 events signed with key 5b5b5b5b5b5b/);
    assert.match(await page.locator('.call', { hasText: 'web_search' }).innerText(), /untrusted/);
    await page.close();
  });

  it('says what the ledger holds and what was signed', async () => {
    const { page, complaints } = await signIn(browser, fixture);
    await page.keyboard.press('4');
    await page.locator('tbody tr').nth(3).waitFor();
    assert.equal(await page.locator('.figures dd').first().innerText(), '7,302'); // 4 x 1200 + (0+1+2+3) x 417
    assert.match(await page.locator('tbody tr').nth(3).innerText(), /2,451\s+2,451[\s\S]*1 gap/);
    await page.getByText('Every log holds as many entries as its newest signed head covers.').waitFor();
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it('lists its shortcuts, lets them be turned off, and gives the focus back', async () => {
    const { page } = await signIn(browser, fixture);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    assert.deepEqual(await violations(page), []);
    await tabTo(page, /Single keys are shortcuts/);
    await page.keyboard.press('Space');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('2');
    assert.ok(page.url().endsWith('#/live'));
    await page.evaluate('localStorage.clear()');
    await page.close();
  });

  it('walks the rows of a table with the arrows, one stop for Tab', async () => {
    const { page } = await signIn(browser, fixture);
    await page.keyboard.press('3');
    await page.locator('tbody tr').nth(1).waitFor();
    assert.equal(await page.locator('tbody tr[tabindex="0"]').count(), 1);
    await page.locator('tbody tr').first().focus();
    await page.keyboard.press('ArrowDown');
    assert.match(await page.locator('tbody tr:focus').innerText(), /4711/);
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await page.locator('.timeline').waitFor();
    assert.ok(page.url().includes(encodeURIComponent(SESSION)));
    await page.close();
  });

  it('says what to do where there is nothing, and where the service fails', async () => {
    const { page } = await signIn(browser, fixture);
    await page.getByText('Waiting for the first event').waitFor();
    fixture.mode = 'empty';
    for (const [view, words] of [
      ['alerts', 'No alert on record'],
      ['sessions', 'No session on record'],
      ['ledger', 'No entry yet'],
      ['controls', 'Nothing is stopped'],
      ['approvals', 'Nothing waits for approval'],
    ] as const) {
      await go(page, `#/${view}`);
      await page.getByText(words).waitFor();
      assert.deepEqual(await violations(page), []);
      await page.screenshot({ path: join(SHOTS, `${view}-empty.png`) });
    }
    fixture.mode = 'failing';
    for (const view of ['alerts', 'sessions', 'ledger', 'controls', 'approvals']) {
      await go(page, '#/live');
      await go(page, `#/${view}`);
      await page.getByRole('alert').getByText('store_unavailable').waitFor();
      await page.getByRole('alert').getByRole('button', { name: 'Try again' }).waitFor();
      assert.deepEqual(await violations(page), []);
    }
    fixture.mode = 'full';
    await page.close();
  });

  for (const scheme of ['light', 'dark'] as const)
    it(`meets WCAG A and AA in every view, ${scheme}, wide and narrow, and talks to its own origin only`, async () => {
      const { page, complaints, urls } = await signIn(browser, fixture);
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      fixture.emit();
      await page.locator('tbody tr').nth(12).waitFor();
      const session = `sessions/${encodeURIComponent(SESSION)}?alert=${ALERT_ID}&call=${EVENT_ID}`;
      for (const size of [
        { width: 1280, height: 800 },
        { width: 390, height: 844 },
      ]) {
        await page.setViewportSize(size);
        for (const view of [...VIEWS, session]) {
          await go(page, `#/${view}`);
          await page.locator('.state[role="status"]').waitFor({ state: 'detached' });
          await page.locator('h1').waitFor();
          assert.deepEqual(await violations(page), [], `${view} at ${size.width}`);
          const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
          assert.ok(overflow <= 0, `${view} at ${size.width} is ${overflow} px too wide`);
          await page.screenshot({
            path: join(SHOTS, `${view.split('/').length > 1 ? 'session' : view}-${scheme}-${size.width}.png`),
          });
        }
      }
      const origins = new Set(urls.map((url) => new URL(url).host));
      assert.deepEqual([...origins], [new URL(fixture.url).host]);
      assert.deepEqual(complaints, []);
      await page.close();
    });
});
