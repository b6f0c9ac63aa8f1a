/**
 * A wire on which anything happens: calls, answers, cancellations, ids used twice, tasks, rounds, and bytes that are no
 * message at all. What holds whatever comes: nothing throws, the bytes go on as they are, memory is bounded, and every
 * request on record has exactly one result.
 */
import assert from 'node:assert/strict';
import type { EventDraft } from '../../../services/capture/draft.ts';
import { observer, validEvents } from './observer.ts';

type Direction = 'to_server' | 'to_client';
type Random = () => number;

/** mulberry32: 32 bits of state, the same numbers everywhere. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const pick = <T>(random: Random, values: readonly T[]): T =>
  values[Math.floor(random() * values.length)] as T;

const IDS: readonly unknown[] = [
  0,
  1,
  2,
  3,
  '1',
  '',
  'a',
  null,
  1.5,
  -0,
  2 ** 60,
  {},
  [],
  'x'.repeat(300),
  undefined,
];
const METHODS = [
  'tools/call',
  'tools/call',
  'tools/call',
  'tools/list',
  'resources/read',
  'prompts/get',
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  'tasks/get',
  'tasks/cancel',
  'tasks/result',
  'initialize',
  'ping',
  'subscriptions/listen',
  'completion/complete',
  'notifications/progress',
  'notifications/message',
  'notifications/tasks/status',
  'constructor',
  '',
] as const;
const STATUSES = ['working', 'completed', 'cancelled', 'input_required', 7];

function paramsOf(random: Random): unknown {
  return pick<() => unknown>(random, [
    () => ({ name: pick(random, ['read', 'post', '', '__proto__', 4]), arguments: { n: random() } }),
    () => ({ uri: pick(random, ['file:///a', 'https://x/', '\ud800', 3]), name: 'p' }),
    () => ({ taskId: pick(random, ['t1', 't2', 9]), status: pick(random, STATUSES) }),
    () => ({ requestId: pick(random, IDS), reason: pick(random, ['why', 3]) }),
    () => ({ progressToken: pick(random, IDS), progress: random(), total: 'x' }),
    () => ({
      name: 'read',
      requestState: pick(random, ['s1', 's2']),
      inputResponses: { k: { action: 'accept' } },
    }),
    () => ({
      message: 'm',
      url: pick(random, ['https://x/y', 'no url', 4]),
      requestedSchema: { properties: { a: {} } },
    }),
    () => ({
      _meta: {
        progressToken: pick(random, IDS),
        'io.modelcontextprotocol/clientInfo': { name: `c${random()}` },
      },
    }),
    () => pick<unknown>(random, [undefined, null, [], 'text', 3, { clientInfo: [] }]),
  ])();
}

function resultOf(random: Random): unknown {
  return pick<() => unknown>(random, [
    () => ({ content: [] }),
    () => ({ content: [], isError: true, structuredContent: { a: [random()] } }),
    () => ({
      resultType: 'input_required',
      requestState: pick(random, ['s1', 's2', 5]),
      inputRequests: { k: { method: pick(random, METHODS) } },
    }),
    () => ({ task: { taskId: pick(random, ['t1', 't2']), status: pick(random, STATUSES) } }),
    () => ({ taskId: pick(random, ['t1', 't2']), status: pick(random, STATUSES) }),
    () => ({
      tools: [
        {
          name: pick(random, ['read', 'post']),
          description: `d${random()}`,
          outputSchema: { type: 'object' },
        },
      ],
    }),
    () => ({ serverInfo: { name: 3 }, capabilities: [], instructions: 'do' }),
    () => pick<unknown>(random, [null, [], 'text', 0]),
  ])();
}

function messageOf(random: Random): unknown {
  const id = pick(random, IDS);
  const kind = random();
  if (kind < 0.45) return { jsonrpc: '2.0', id, method: pick(random, METHODS), params: paramsOf(random) };
  if (kind < 0.8) return { jsonrpc: '2.0', id, result: resultOf(random) };
  if (kind < 0.85)
    return { jsonrpc: '2.0', id, error: pick<unknown>(random, [{ code: -1, message: 'm' }, 'text', null]) };
  if (kind < 0.95) return { jsonrpc: '2.0', method: 'notifications/cancelled', params: paramsOf(random) };
  return { jsonrpc: '2.0', method: pick(random, METHODS), params: paramsOf(random) };
}

const SPLINTERS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '\\u',
  '\u0000',
  '"id":1,',
  '"method":"tools/call",',
  '{"a":'.repeat(50),
  '1e999',
  '\u202E',
];

/** Cut, doubled, overwritten, or with a splinter of syntax in it. */
export function mutated(random: Random, bytes: Uint8Array): Buffer {
  const at = Math.floor(random() * (bytes.length + 1));
  const to = Math.min(bytes.length, at + Math.floor(random() * 20));
  switch (Math.floor(random() * 5)) {
    case 0:
      return Buffer.from(bytes.subarray(0, at));
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 3: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256);
      return copy;
    }
    default:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(pick(random, SPLINTERS)), bytes.subarray(at)]);
  }
}

export function lineOf(random: Random): Buffer {
  const isBatch = random() < 0.05;
  const count = isBatch ? Math.floor(random() * 4) : 1;
  const messages = Array.from({ length: count }, () => messageOf(random));
  let bytes: Buffer = Buffer.from(JSON.stringify(isBatch ? messages : messages[0]));
  while (random() < 0.3) bytes = mutated(random, bytes);
  return bytes;
}

const ENDS: ReadonlySet<string> = new Set(['call.result', 'mcp.result']);
const BEGINNINGS: ReadonlySet<string> = new Set(['call.intent', 'mcp.request']);

/** Requests on record and whether they have ended. */
export class Books {
  readonly #open = new Map<string, string>();
  requests = 0;

  take(drafts: readonly EventDraft[]): void {
    for (const { kind, fields } of drafts) {
      const callId = String(fields['callId']);
      if (BEGINNINGS.has(kind)) {
        assert.ok(!this.#open.has(callId), 'a call id is used once');
        this.#open.set(callId, kind);
        this.requests++;
      } else if (ENDS.has(kind)) {
        const began = this.#open.get(callId);
        assert.equal(began, kind === 'call.result' ? 'call.intent' : 'mcp.request', `${kind} of ${callId}`);
        this.#open.set(callId, 'ended');
      }
    }
  }

  allEnded(): void {
    const left = [...this.#open.values()].filter((state) => state !== 'ended');
    assert.deepEqual(left, []);
  }
}

export interface FuzzCounts {
  readonly lines: number;
  readonly requests: number;
  readonly events: number;
}

const MAX_PENDING = 16;

/** A connection that is still open after `lines` lines, with nothing kept of them here: what is held is the observer's. */
export function wireAfter(seed: number, lines: number): object {
  const random = randomOf(seed);
  const { subject, pass } = observer({ maxPendingCalls: 10_000 });
  for (let at = 0; at < lines; at++) {
    subject.observe(random() < 0.5 ? 'to_server' : 'to_client', lineOf(random));
    if (random() < 0.001) pass(1);
  }
  return subject;
}

/** One connection of `lines` lines; throws where one of the promises above does not hold. */
export function fuzzWire(seed: number, lines: number): FuzzCounts {
  const random = randomOf(seed);
  const { subject, pass } = observer({ maxPendingCalls: MAX_PENDING });
  const books = new Books();
  let events = 0;
  const take = (drafts: readonly EventDraft[]): void => {
    events += validEvents(drafts).length;
    books.take(drafts);
  };
  for (let at = 0; at < lines; at++) {
    const line = lineOf(random);
    const before = Buffer.from(line);
    const direction: Direction = random() < 0.5 ? 'to_server' : 'to_client';
    const { drafts, forward, answers } = subject.observe(direction, line);
    assert.equal(forward, line, 'the very same bytes');
    assert.ok(line.equals(before), 'nobody wrote into them');
    assert.deepEqual(answers, []);
    take(drafts);
    assert.ok(subject.pendingRequests <= MAX_PENDING + 64, `${subject.pendingRequests} pending`);
    if (random() < 0.02) {
      pass(700);
      take(subject.expire());
    }
  }
  take(subject.close());
  books.allEnded();
  return { lines, requests: books.requests, events };
}
