/**
 * A host that is killed at any point of any run: whoever finds its spool puts each call that left on record, once, with
 * the answer that its client has seen, else as abandoned.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { Event } from '../../../schemas/event/v1.ts';
import { Capture } from '../../../services/capture/capture.ts';
import { silentLog } from '../../../services/capture/log.ts';
import { finishedSegment } from '../../../services/capture/recorder/finish-stream.ts';
import { LineAppender, type JournalPlace } from '../../../services/capture/recorder/line-appender.ts';
import { LineFollower } from '../../../services/capture/recorder/line-follower.ts';
import { JOURNAL_FILE } from '../../../services/capture/recorder/line-parts.ts';
import { readSegments, type Segment } from '../../../services/capture/recorder/segments.ts';
import {
  newSharedMemory,
  processMs,
  sharedLinesIn,
} from '../../../services/capture/recorder/shared-lines.ts';
import { cutLines } from '../../../services/capture/recorder/spool.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { workplace } from '../../support/mcp/host.ts';

type Step =
  | { readonly kind: 'call' | 'look' | 'beat' | 'ping' | 'wait' }
  | { readonly kind: 'answer' | 'cancel'; readonly which: number }
  /** The other thread looks at so many. */
  | { readonly kind: 'some'; readonly lines: number };
const zStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'call' as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('answer' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('look' as const, 'beat' as const, 'ping' as const) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'wait' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('some' as const), lines: fc.integer({ min: 1, max: 4 }) }),
  },
);

const json = (value: unknown): Buffer =>
  Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...(value as object) }));

/** What a killed host leaves. */
interface Left {
  readonly segments: readonly Segment[];
  readonly journal: Buffer;
}

/** Who lets lines go on before they are looked at: the thread that looks at them, or another. */
const FORMS = ['one thread', 'two threads'] as const;
type Form = (typeof FORMS)[number];

class Host {
  readonly capture: Capture;
  #appender: LineAppender | undefined;
  readonly #directory: () => string;
  /** By id: what its end must be. */
  readonly expected = new Map<number, 'abandoned' | 'ok' | 'cancelled'>();
  #nextId = 1;

  constructor(dataDir: string, form: Form) {
    const follower = form === 'one thread' ? undefined : this.#follower();
    this.capture = new Capture({
      settings: readSettings({ TRIPLINE_DATA_DIR: dataDir, TRIPLINE_URL: 'http://127.0.0.1:9' }),
      server: 'calls',
      transport: 'stdio',
      hostPid: process.pid,
      log: silentLog,
      timings: { firstWaitMs: 0, closeTimeoutMs: 0 },
      ...(follower === undefined ? {} : { follower }),
    });
    const spool = path.join(dataDir, 'spool');
    this.#directory = () => path.join(spool, readdirSync(spool)[0] ?? '');
  }

  /** The two sides of the memory, here in one thread so that any order of their steps can be played. */
  #follower(): LineFollower {
    const shared = sharedLinesIn(newSharedMemory());
    const appender = new LineAppender({
      shared,
      nowMs: () => Date.now(),
      monotonicMs: processMs,
      wake: () => undefined,
    });
    this.#appender = appender;
    const opened = (place: JournalPlace): void => appender.open(place);
    return new LineFollower({ shared, server: 'calls', transport: 'stdio', opened });
  }

  async start(): Promise<void> {
    await this.capture.start();
    // The first call waits for the first word of the channel.
    await this.capture.pass('to_server', this.#call());
    this.#appender?.beginAnew();
  }

  #call(): Buffer {
    const id = this.#nextId++;
    this.expected.set(id, 'abandoned');
    return json({ id, method: 'tools/call', params: { name: 'echo', arguments: { n: id } } });
  }

  pass(direction: 'to_server' | 'to_client', line: Buffer): void {
    if (this.#appender !== undefined)
      return assert.ok(this.#appender.keeps(direction, line), 'it may go on at once');
    const passed = this.capture.pass(direction, line);
    assert.ok(!(passed instanceof Promise), 'nothing waits');
    assert.equal(passed.forward, line);
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'call':
        return this.pass('to_server', this.#call());
      case 'answer':
        return this.#end(step.which, 'ok', (id) =>
          this.pass('to_client', json({ id, result: { content: [] } })),
        );
      case 'cancel':
        return this.#end(step.which, 'cancelled', (requestId) =>
          this.pass('to_server', json({ method: 'notifications/cancelled', params: { requestId } })),
        );
      case 'look':
        return void this.capture.counts;
      case 'beat':
        return this.capture.note({});
      case 'ping':
        return this.pass('to_server', json({ id: `p${this.#nextId}`, method: 'ping' }));
      case 'wait':
        return void (await new Promise((resolve) => setTimeout(resolve, 4)));
      case 'some':
        this.capture.follow(step.lines);
    }
  }

  #end(which: number, outcome: 'ok' | 'cancelled', pass: (id: number) => void): void {
    const open = [...this.expected].filter(([, end]) => end === 'abandoned').map(([id]) => id);
    const id = open[which % open.length];
    if (id === undefined) return;
    this.expected.set(id, outcome);
    pass(id);
  }

  left(): Left {
    const directory = this.#directory();
    const stream = path.basename(directory).split('@')[0] ?? '';
    return {
      segments: readSegments(directory, stream),
      journal: readFileSync(path.join(directory, JOURNAL_FILE)),
    };
  }
}

/** The events of the stream once somebody has finished it. */
function finished({ segments, journal }: Left): readonly Event[] {
  const done = finishedSegment(segments, journal, {
    nowMs: () => Date.now(),
    randomHex: (bytes) => randomBytes(bytes).toString('hex'),
    boundary: undefined,
  });
  assert.ok(done !== undefined, 'something is owed');
  const [, ...lines] = Buffer.from(done.bytes).toString('utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Event);
}

function assertWhole(events: readonly Event[], expected: Host['expected'], at: string): void {
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, seq) => seq),
    at,
  );
  assert.equal(events.at(-1)?.kind, 'stream.close', at);
  assert.equal(events.at(-1)?.streamState?.count, events.length, at);
  const idOf = new Map(
    events.flatMap(({ kind, callId, args }) =>
      kind === 'call.intent' ? [[callId, (args as { n: number }).n] as const] : [],
    ),
  );
  const ids = [...idOf.values()].toSorted((a, b) => a - b);
  assert.deepEqual(ids, [...expected.keys()], `${at}: each call that left, once`);
  const ends = events.filter(({ kind }) => kind === 'call.result');
  const outcomes = ends.map(({ callId, outcome }) => [idOf.get(callId) ?? -1, outcome] as const);
  assert.deepEqual(
    outcomes.toSorted(([a], [b]) => a - b),
    [...expected],
    `${at}: each with its one end`,
  );
}

/** The spool as it was, and the first bytes of what has been written to it since. */
function cutWrite(before: Left, after: Left, part: number): Left {
  const [was] = before.segments;
  const [is] = after.segments;
  assert.ok(was !== undefined && is !== undefined && after.segments.length === 1, 'one segment');
  const grown = is.bytes.length - was.bytes.length;
  const bytes = is.bytes.subarray(0, was.bytes.length + (grown === 0 ? 0 : part % grown));
  const cut = cutLines(bytes, Number.MAX_SAFE_INTEGER);
  const segment = { ...is, lines: cut.lines.slice(1), bytes: cut.bytes };
  return { segments: [segment], journal: after.journal };
}

async function newHost(context: TestContext, form: Form): Promise<Host> {
  const place = workplace();
  const host = new Host(place.dataDir, form);
  context.after(async () => {
    await host.capture.close();
    place.remove();
  });
  await host.start();
  return host;
}

for (const form of FORMS)
  describe(`killed hosts of ${form}`, () => {
    it('between any two steps: every call that left is on record once, with its end', async (context) => {
      await fc.assert(
        fc.asyncProperty(fc.array(zStep, { minLength: 1, maxLength: 60 }), async (steps) => {
          const host = await newHost(context, form);
          for (const [at, step] of steps.entries()) {
            await host.step(step);
            assertWhole(finished(host.left()), host.expected, `after step ${at} (${step.kind})`);
          }
        }),
        { numRuns: 12 },
      );
    });

    it('in the midst of the write that puts them on record', async (context) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(zStep, { minLength: 1, maxLength: 20 }),
          fc.array(fc.nat(), { minLength: 5, maxLength: 5 }),
          async (steps, parts) => {
            const host = await newHost(context, form);
            for (const step of steps) if (step.kind !== 'wait') await host.step(step);
            const before = host.left();
            void host.capture.counts;
            const after = host.left();
            for (const part of parts)
              assertWhole(finished(cutWrite(before, after, part)), host.expected, `${part} bytes`);
          },
        ),
        { numRuns: 20 },
      );
    });

    it('more calls at once than are named in the journal: each is on record, those unnamed as abandoned', async (context) => {
      const host = await newHost(context, form);
      for (let n = 1; n < 100; n++) await host.step({ kind: 'call' });
      await host.step({ kind: 'look' });
      const events = (): readonly Event[] => finished(host.left());
      const outcomes = (): readonly unknown[] =>
        events().flatMap(({ kind, outcome }) => (kind === 'call.result' ? [outcome] : []));
      for (let n = 0; n < 100; n++) await host.step({ kind: 'answer', which: 0 });
      assert.equal(outcomes().filter((outcome) => outcome === 'ok').length, 64);
      assert.equal(outcomes().filter((outcome) => outcome === 'abandoned').length, 36);
      await host.step({ kind: 'look' });
      assert.equal(outcomes().filter((outcome) => outcome === 'ok').length, 100);
    });
  });
