/** Debian's Chromium, started without anything that would leave this machine. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

/** Path of the browser; undefined where there is none, said loudly. With CI=true its absence is a failure. */
export function findBrowser(): string | undefined {
  if (existsSync(CHROMIUM)) return CHROMIUM;
  const message = `NO BROWSER: ${CHROMIUM} is missing, so the console was NOT tested. apt-get install chromium`;
  if (process.env['CI'] === 'true') throw new Error(message);
  process.stderr.write(`\n*** ${message} ***\n\n`);
  return undefined;
}

export interface OpenPage {
  readonly page: Page;
  /** Console errors and warnings, uncaught exceptions, refused resources. */
  readonly complaints: string[];
  /** URLs of every request and WebSocket. */
  readonly urls: string[];
}

export interface Browser {
  readonly context: BrowserContext;
  open(url: string): Promise<OpenPage>;
  close(): Promise<void>;
}

export async function startBrowser(executablePath: string): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'tripline-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1280, height: 800 },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  return {
    context,
    open: (url) => openPage(context, url),
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

async function openPage(context: BrowserContext, url: string): Promise<OpenPage> {
  const page = await context.newPage();
  const complaints: string[] = [];
  const urls: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => urls.push(request.url()));
  page.on('websocket', (socket) => urls.push(socket.url()));
  await page.goto(url);
  return { page, complaints, urls };
}
