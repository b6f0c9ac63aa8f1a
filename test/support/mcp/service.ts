/** The real service as hosts meet it: `tripline up` on a data directory, and what an analyst and a responder do over HTTP. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Control } from '../../../schemas/control/v1.ts';
import { up, type Tripline } from '../scenario/tripline.ts';

export interface EventItem {
  readonly kind: string;
  readonly stream: string;
  readonly seq: number;
  readonly session: string;
  readonly position: { readonly partition: number; readonly offset: number; readonly line: number };
  readonly callId?: string;
  readonly server?: string;
  readonly method?: string;
  readonly tool?: string;
  readonly outcome?: string;
  readonly verdict?: string;
  readonly controlId?: string;
  readonly traceId?: string;
  readonly spanId?: string;
  readonly parentSpanId?: string;
  readonly argsHash?: string;
  readonly resultHash?: string;
}

const SEEN_WITHIN_MS = 60_000;

export class Service {
  readonly #dataDir: string;
  #process: Tripline | undefined;
  #url = '';

  readonly #config: object | undefined;

  constructor(dataDir: string, config?: object) {
    this.#dataDir = dataDir;
    this.#config = config;
  }

  async start(): Promise<void> {
    const configFile = path.join(this.#dataDir, 'config.json');
    if (this.#config !== undefined) writeFileSync(configFile, JSON.stringify(this.#config));
    this.#process = up({
      dataDir: this.#dataDir,
      logFile: path.join(this.#dataDir, 'up.log'),
      ...(this.#config === undefined ? {} : { configFile }),
    });
    this.#url = await this.#process.url;
  }

  get url(): string {
    return this.#url;
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  async #request<T>(route: string, body?: unknown): Promise<T> {
    const token = readFileSync(path.join(this.#dataDir, 'admin.token'), 'utf8').trim();
    const response = await fetch(new URL(route, this.#url), {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${route}: HTTP ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** Sets a control of tenant `default`. */
  async setControl(control: {
    readonly scope: Control['scope'];
    readonly target?: string;
    readonly mode?: Control['mode'];
    readonly reason?: string;
  }): Promise<Control> {
    const body = { ttlMs: 600_000, reason: 'test', ...control };
    return (await this.#request<{ control: Control }>('/v1/controls?tenant=default', body)).control;
  }

  async liftControl(id: string): Promise<Control> {
    const route = `/v1/controls/${encodeURIComponent(id)}/lift`;
    return (await this.#request<{ control: Control }>(route, { reason: 'over' })).control;
  }

  /** Ids of the rules that have fired for a session. */
  async firedRules(session: string): Promise<readonly string[]> {
    const query = new URLSearchParams({ tenant: 'default', session, limit: '500' });
    const { items } = await this.#request<{ items: { ruleId: string }[] }>(`/v1/alerts?${query.toString()}`);
    return items.map(({ ruleId }) => ruleId);
  }

  /** Every event of a session, in the order of the ledger. */
  async events(session: string): Promise<readonly EventItem[]> {
    const items: EventItem[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query = new URLSearchParams({ tenant: 'default', session, limit: '500' });
      if (cursor !== '') query.set('cursor', cursor);
      const page: { items: EventItem[]; nextCursor: string | null } = await this.#request(
        `/v1/events?${query.toString()}`,
      );
      items.push(...page.items);
      cursor = page.nextCursor;
    }
    return items.toSorted(
      ({ position: a }, { position: b }) =>
        a.partition - b.partition || a.offset - b.offset || a.line - b.line,
    );
  }

  /** The session's events once they are as wanted; rows reach the store a moment after the bus. */
  async eventsOnce(
    session: string,
    isThere: (events: readonly EventItem[]) => boolean,
  ): Promise<readonly EventItem[]> {
    return await this.eventually(() => this.events(session), isThere);
  }

  /** What `look` finds, once it is as wanted. */
  async eventually<T>(
    look: () => Promise<readonly T[]>,
    isThere: (found: readonly T[]) => boolean,
  ): Promise<readonly T[]> {
    const deadlineMs = Date.now() + SEEN_WITHIN_MS;
    for (;;) {
      const found = await look();
      if (isThere(found)) return found;
      if (Date.now() > deadlineMs) throw new Error(`not on record: ${JSON.stringify(found).slice(0, 2_000)}`);
      await sleep(100);
    }
  }
}

export const ofKind = (events: readonly EventItem[], kind: string): readonly EventItem[] =>
  events.filter((event) => event.kind === kind);
