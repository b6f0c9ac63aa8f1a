/** An observer with a clock and randomness of the test, fed message by message; its drafts are held against the event schema. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readEventLine } from '../../../schemas/event/read.ts';
import * as schema from '../../../schemas/event/v1.ts';
import type { EventDraft } from '../../../services/capture/draft.ts';
import { LineWriter, prepareLines } from '../../../services/capture/encode.ts';
import type { ObserverOptions } from '../../../services/capture/observer-options.ts';
import { Observer } from '../../../services/capture/observer.ts';
import { randomSpans } from '../../../services/capture/spans.ts';

export const sha256Hex = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex');

export function observer(options: Partial<ObserverOptions> = {}) {
  let random = 0;
  let monotonic = 0;
  const randomHex = (bytes: number): string => (++random).toString(16).padStart(bytes * 2, '0');
  const subject = new Observer({
    server: 'vault',
    transport: 'stdio',
    agent: 'a',
    session: 's',
    clock: { nowMs: () => 1_700_000_000_000, monotonicMs: () => monotonic },
    sha256Hex,
    randomHex,
    spans: randomSpans(randomHex),
    decide: () => ({ kind: 'allow' }),
    mappings: () => [],
    injectTrace: false,
    callTimeoutMs: 1_000,
    maxPendingCalls: 3,
    ...options,
  });
  const line = (direction: 'to_server' | 'to_client') => (message: unknown) =>
    subject.observe(direction, Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)));
  return {
    subject,
    toServer: line('to_server'),
    toClient: line('to_client'),
    pass: (ms: number) => {
      monotonic += ms;
    },
  };
}

export const call = (id: unknown, params: Record<string, unknown> = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'read', arguments: {}, ...params },
});
export const answer = (id: unknown, result: unknown) => ({ jsonrpc: '2.0', id, result });
export const outcomes = (drafts: readonly EventDraft[]) =>
  drafts.map((draft) => draft.fields['outcome'] ?? draft.kind);

export const CONTROL = {
  v: 1,
  id: 'c',
  version: 1,
  tenant: 't',
  scope: 'tool',
  target: 'bad',
  mode: 'enforce',
  state: 'set',
  reason: 'why',
  issuedBy: 'i',
  issuedAt: '2026-01-01T00:00:00.000Z',
  expiresAt: '2027-01-01T00:00:00.000Z',
} as const;

/** Every draft as the lines of a stream, each held against the event schema. */
export function validEvents(drafts: readonly EventDraft[]): readonly schema.Event[] {
  const identity = {
    stream: '0'.repeat(32),
    session: 's',
    agent: 'a',
    principal: undefined,
    host: undefined,
  };
  return drafts.flatMap(prepareLines).map((prepared, seq) => {
    const line = new LineWriter().add(prepared, identity, { seq, nonce: 'f'.repeat(32) });
    assert.ok(line.length <= schema.MAX_LINE_BYTES, `${line.length} bytes`);
    const outcome = readEventLine(line, { strict: true });
    assert.ok(outcome.kind === 'event', JSON.stringify(outcome));
    return schema.zEvent.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line)));
  });
}

/** Values of an event by their paths; undefined for what it does not have. */
export function valuesOf(event: object | undefined, ...paths: readonly string[]): readonly unknown[] {
  return paths.map((path) =>
    path
      .split('.')
      .reduce<unknown>((at, name) => (at as Record<string, unknown> | null | undefined)?.[name], event),
  );
}
