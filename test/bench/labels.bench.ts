/**
 * What labels add to a call: CPU time a kB of looking for secrets in a body, as capture does while the message waits, and
 * of an observer with and without it. Bodies without a secret, which nearly all are, and one that names secrets all over.
 */
import { createHash } from 'node:crypto';
import { secretsInJson } from '../../detectors/labels/body-secrets.ts';
import { zBoundary } from '../../schemas/labels/v1.ts';
import { Observer } from '../../services/capture/observer.ts';
import { randomSpans } from '../../services/capture/spans.ts';
import { median, result, type Bench, type BenchResult } from './bench.ts';

const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const PARTS = 7;
const WORK_BYTES = 2_000_000;

const prose = (characters: number): string =>
  'The order of 2026-11-20 was sent to https://shop.example/a?b=c and costs 20 EUR (id 550e8400-e29b-41d4-a716-446655440000). '
    .repeat(Math.ceil(characters / 120))
    .slice(0, characters);
export const BODIES: Readonly<Record<string, unknown>> = {
  prose: { content: [{ type: 'text', text: prose(4_000) }] },
  rows: {
    structuredContent: Array.from({ length: 40 }, (_, n) => ({
      id: `550e8400-e29b-41d4-a716-4466554${10_000 + n}`,
      name: `user ${n}`,
      amount: n * 12.5,
      at: '2026-01-01T00:00:00.000Z',
    })),
  },
  image: {
    content: [{ type: 'image', data: Buffer.from(prose(3_000)).toString('base64'), mimeType: 'image/png' }],
  },
  suspicious: { content: [{ type: 'text', text: `${prose(400)} password: see the wiki `.repeat(9) }] },
};

/** CPU microseconds of one piece of work. */
export function cpuUs(work: () => void, times: number): number {
  const parts: number[] = [];
  for (let part = 0; part <= PARTS; part++) {
    const before = process.cpuUsage();
    for (let n = 0; n < times; n++) work();
    const { user, system } = process.cpuUsage(before);
    // The first one warms up.
    if (part > 0) parts.push((user + system) / times);
  }
  return median(parts);
}

function lookRow(name: string, body: unknown): BenchResult {
  const bytes = Buffer.from(JSON.stringify(body));
  const kB = bytes.length / 1024;
  const times = Math.ceil(WORK_BYTES / bytes.length);
  const value = cpuUs(() => void secretsInJson(bytes), times) / kB;
  const baseline = cpuUs(() => void JSON.parse(bytes.toString()), times) / kB;
  return result(`labels_look_${name}`, { value, baseline, unit: 'µs/kB' }, 'beside decoding and JSON.parse');
}

function callWork(body: unknown, boundary: object): () => void {
  let random = 0;
  const mapping = zBoundary.parse(boundary);
  const randomHex = (bytes: number): string => (++random).toString(16).padStart(bytes * 2, '0');
  const observer = new Observer({
    server: 'notes',
    transport: 'stdio',
    agent: 'a',
    session: 's',
    clock: { nowMs: () => 1_700_000_000_000, monotonicMs: () => 0 },
    sha256Hex,
    randomHex,
    spans: randomSpans(randomHex),
    decide: () => ({ kind: 'allow' }),
    mappings: () => [],
    injectTrace: false,
    callTimeoutMs: 1_000,
    maxPendingCalls: 10,
    boundary: () => mapping,
  });
  const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const request = text({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'read', arguments: { path: '/srv/a.txt', note: prose(300) } },
  });
  const answer = text({ jsonrpc: '2.0', id: 1, result: body });
  return () => {
    observer.observe('to_server', request);
    observer.observe('to_client', answer);
  };
}

function run(): readonly BenchResult[] {
  const body = BODIES['prose'];
  const observed = cpuUs(callWork(body, {}), 500);
  const marked = cpuUs(callWork(body, { instructions: 'mark', resultMeta: true }), 500);
  return [
    ...Object.entries(BODIES).map(([name, one]) => lookRow(name, one)),
    result(
      'labels_marking',
      { value: marked, baseline: observed, unit: 'µs/call' },
      'observer, result of 4 kB, marks and _meta; beside labels alone',
    ),
  ];
}

export const labels: Bench = {
  name: 'labels',
  about: 'what labels and marks add to a call in capture',
  run: async () => Promise.resolve(run()),
};
