/** Acknowledged calls that wait for the spans above them, when the bus is away. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { isTriplineError, TriplineError } from '../../../schemas/errors.ts';
import { Assembler } from '../../../services/ingest/otlp/assembler.ts';
import type { OwnedCall, Sender } from '../../../services/ingest/otlp/emit.ts';
import type { Release } from '../../../services/ingest/otlp/instruments.ts';
import type { OtlpSpan } from '../../../services/ingest/otlp/model.ts';
import { RecordedCalls } from '../../../services/ingest/otlp/recorded-calls.ts';
import { WaitingRoom } from '../../../services/ingest/otlp/waiting-room.ts';
import { readJsonSpans } from '../../../services/ingest/otlp/wire/json.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { spanIdOf, traceIdOf, traceRequest, type PlainSpan } from '../../support/otlp/build.ts';

const SENDER: Sender = { tenant: 'a', origin: 'otlp:key' };
const GEN_AI = { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'weather' };
const child = (name: string): PlainSpan => ({
  traceId: traceIdOf('t'),
  spanId: spanIdOf(name),
  parentSpanId: spanIdOf('root'),
  attributes: { ...GEN_AI, 'gen_ai.tool.call.arguments': '{"city":"Paris"}' },
});
const ROOT: PlainSpan = {
  traceId: traceIdOf('t'),
  spanId: spanIdOf('root'),
  attributes: { 'gen_ai.agent.name': 'bot' },
};
const read = (...spans: readonly PlainSpan[]): readonly OtlpSpan[] =>
  readJsonSpans(Buffer.from(JSON.stringify(traceRequest(spans))), { maxItems: 100 }).items;

let dir = '';
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'tripline-waiting-'));
});
after(() => rmSync(dir, { recursive: true }));

/** A bus that takes calls, or does not. */
class Outside {
  away = false;
  readonly sent: OwnedCall[] = [];
  readonly released: [Release, number][] = [];

  assembler(room: string, settings: { assemblyWaitMs?: number; maxWaitingCalls?: number } = {}): Assembler {
    return new Assembler({
      room: new WaitingRoom(join(dir, room)),
      recorded: new RecordedCalls(),
      clock: systemClock,
      log: pino({ level: 'silent' }),
      assemblyWaitMs: 60_000,
      maxWaitingCalls: 100,
      ...settings,
      digest: (text) => createHash('sha256').update(text).digest('hex'),
      emit: async (_sender, calls) => {
        await Promise.resolve();
        if (this.away) throw new TriplineError('bus_unavailable');
        this.sent.push(...calls);
        return 0;
      },
      count: () => undefined,
      released: (reason, by) => void this.released.push([reason, by]),
    });
  }

  told(): readonly (readonly [string, string])[] {
    return this.sent.map(({ seen, owner }) => [seen.callId, owner.agent]);
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 10_000; !holds() && performance.now() < deadline;)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(holds());
}

describe('calls that wait', () => {
  it('outlive a stop while the bus is away, and are sent by the next start, once, as they were', async () => {
    const outside = new Outside();
    const first = outside.assembler('bus-away');
    await first.takeSpans(SENDER, read(child('one'), child('two')));
    outside.away = true;
    await first.takeSpans(SENDER, read(ROOT));
    assert.equal(first.waiting, 2, 'the root was taken; its children wait for the bus');
    await first.stop();
    assert.equal(outside.sent.length, 0);
    outside.away = false;
    // Their root is not sent again: what was decided is written down.
    const second = outside.assembler('bus-away');
    await until(() => second.waiting === 0);
    assert.deepEqual(outside.told(), [
      [spanIdOf('one'), 'bot'],
      [spanIdOf('two'), 'bot'],
    ]);
    const [call] = outside.sent;
    assert.deepEqual([call?.seen.call.args, call?.seen.call.startNs], ['{"city":"Paris"}', 1_000_000_000n]);
    await second.stop();
    const third = outside.assembler('bus-away');
    assert.equal(third.waiting, 0);
    await third.stop();
  });

  it('are sent with what is known when their time is over, and again after a failure', async () => {
    const outside = new Outside();
    outside.away = true;
    const assembler = outside.assembler('time', { assemblyWaitMs: 50 });
    await assembler.takeSpans(SENDER, read(child('one')));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(assembler.waiting, 1);
    outside.away = false;
    await until(() => assembler.waiting === 0);
    assert.deepEqual(outside.told(), [[spanIdOf('one'), 'unknown']]);
    assert.deepEqual(outside.released, [['waited', 1]]);
    await assembler.stop();
  });

  it('beyond the limit the oldest go on with what is known', async () => {
    const outside = new Outside();
    const assembler = outside.assembler('full', { maxWaitingCalls: 2 });
    await assembler.takeSpans(SENDER, read(child('one'), child('two'), child('three')));
    assert.deepEqual(outside.told(), [[spanIdOf('one'), 'unknown']]);
    assert.deepEqual(outside.released, [['full', 1]]);
    assert.equal(assembler.waiting, 2);
    await assembler.stop();
    assert.equal(outside.sent.length, 3, 'a stop sends the others');
  });

  it('while the bus takes nothing, no more calls are acknowledged than may wait', async () => {
    const outside = new Outside();
    outside.away = true;
    const assembler = outside.assembler('flood', { maxWaitingCalls: 2 });
    for (const name of ['one', 'two', 'three', 'four']) await assembler.takeSpans(SENDER, read(child(name)));
    await assert.rejects(assembler.takeSpans(SENDER, read(child('five'))), (error) =>
      isTriplineError(error, 'bus_backpressure'),
    );
    outside.away = false;
    await assembler.stop();
    assert.equal(outside.sent.length, 4);
  });

  it('long bodies are let go before many calls are', async () => {
    const outside = new Outside();
    const assembler = outside.assembler('long');
    const long = (name: string): PlainSpan => ({
      ...child(name),
      attributes: { ...GEN_AI, 'gen_ai.tool.call.result': 'x'.repeat(40 * 1024 * 1024) },
    });
    await assembler.takeSpans(SENDER, read(long('one')));
    await assembler.takeSpans(SENDER, read(long('two')));
    assert.deepEqual(outside.told(), [[spanIdOf('one'), 'unknown']]);
    assert.equal(assembler.waiting, 1);
    await assembler.stop();
  });

  it('a request whose calls cannot be made durable is not answered as if they were', async () => {
    const outside = new Outside();
    const assembler = outside.assembler('refused');
    outside.away = true;
    await assert.rejects(assembler.takeSpans(SENDER, read(child('one'), ROOT)));
    outside.away = false;
    await assembler.takeSpans(SENDER, read(child('one'), ROOT));
    assert.deepEqual(outside.told(), [[spanIdOf('one'), 'bot']]);
    await assembler.stop();
  });
});
