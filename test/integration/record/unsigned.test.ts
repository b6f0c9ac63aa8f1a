/** `producers.unsigned`: what nobody signed is marked in any case, and told of where the operator asks for it. */
import assert from 'node:assert/strict';
import { pino } from 'pino';
import { after, before, describe, it } from 'node:test';
import { TOPICS } from '../../../schemas/topics.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { PartitionWriter } from '../../../services/record/loop.ts';
import { ProducerWatch } from '../../../services/record/producer-watch.ts';
import {
  append,
  callLine,
  openBench,
  OWNED,
  readAll,
  recordOf,
  SETTINGS,
  streamOf,
  TOPIC,
  type Bench,
} from './harness.ts';

describe('events that nobody signed', () => {
  let bench: Bench;
  before(async () => {
    bench = await openBench();
  });
  after(() => bench.close());

  async function told(): Promise<string[]> {
    const { name } = TOPICS.alerts;
    const lines: string[] = [];
    for (let partition = 0; partition < bench.bus.partitionCount(name); partition += 1)
      for (const { value } of await readAll(bench.bus, partition, 0, name))
        lines.push(
          ...Buffer.from(value ?? [])
            .toString()
            .split('\n'),
        );
    return lines.filter((line) => line !== '');
  }

  /** Two records of one stream. */
  async function record(unsigned: 'alert' | 'mark', partition: number): Promise<void> {
    const file = loadConfig({
      file: undefined,
      env: {},
      overrides: [{ path: ['producers', 'unsigned'], value: unsigned }],
    });
    const { bus, store, signer } = bench;
    const watch = new ProducerWatch({
      bus,
      store,
      config: file,
      producer: await bus.producer(),
      log: pino({ level: 'silent' }),
    });
    const ports = {
      bus,
      store,
      signer,
      clock: systemClock,
      onFindings: (found: Parameters<typeof watch.tell>[0]) => watch.tell(found),
    };
    await append(
      bench,
      [0, 1].map((seq) => recordOf(unsigned, seq, [callLine(unsigned, seq)])),
      partition,
    );
    const writer = new PartitionWriter({ topic: TOPIC, partition }, ports, SETTINGS);
    await writer.start();
    await writer.onBatch({ records: await readAll(bus, partition) }, OWNED);
    await watch.stop();
  }

  for (const [partition, [unsigned, alerts]] of (
    [
      ['mark', 0],
      ['alert', 1],
    ] as const
  ).entries())
    it(`${unsigned}: ${alerts} alerts a stream, and no entry counts as signed`, async () => {
      await record(unsigned, partition);
      const own = (await told()).filter((line) => line.includes(`${streamOf(unsigned)}-`));
      assert.equal(own.length, alerts, own.join('\n'));
      for (const line of own) {
        const { alert } = JSON.parse(line) as { alert: { ruleId: string; level: string } };
        assert.deepEqual([alert.ruleId, alert.level], ['tripline.unsigned-producer', 'low']);
      }
      const rows = await bench.store.query<{ flags: number }>(
        'SELECT flags FROM ledger WHERE stream_id = unhex({stream:String})',
        { params: { stream: streamOf(unsigned) } },
      );
      assert.deepEqual(
        rows.map(({ flags }) => flags & 1),
        [0, 0],
      );
    });
});
