/** A child process that sends to an embedded bus without end and prints what was acknowledged: `partition offset text` a line. */
import { writeSync } from 'node:fs';
import { openEmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { EVENTS, message, PARTITIONS, VIEW } from './contract.ts';

const [dir = '', life = '0'] = process.argv.slice(2);
const bus = await openEmbeddedBus({ dir, clock: systemClock, maxQueuedBytes: 64 * 1024 * 1024 });
await bus.ensureTopics([EVENTS, VIEW], PARTITIONS);
const producer = await bus.producer();
let sent = 0;
async function caller(): Promise<never> {
  for (;;) {
    const partition = sent % PARTITIONS;
    const text = `${life}-${sent++}`;
    const { baseOffset } = await producer.send(EVENTS.name, partition, [message(text), message(`${text}+`)]);
    // Synchronous: what was printed was acknowledged before the kill.
    writeSync(1, `${partition} ${baseOffset} ${text}\n${partition} ${baseOffset + 1} ${text}+\n`);
  }
}
await Promise.all(Array.from({ length: 16 }, caller));
