/**
 * A process that runs detect over the log of a bus directory until it is killed. Arguments: directory, file with the
 * configuration as JSON. Says `loaded`, waits for a line, then tells how far it has read, a number a line.
 */
import { readFileSync, writeSync } from 'node:fs';
import { zConfig } from '../../../schemas/config/v1.ts';
import { openBus } from '../../integration/detect/harness.ts';
import { Position, runReading } from './reading.ts';

const [, , dir = '', configFile = ''] = process.argv;
const say = (text: string): void => void writeSync(1, `${text}\n`);

async function run(): Promise<void> {
  const bus = await openBus(dir);
  // Lives are shorter than the time between two rounds of maintenance.
  await bus.maintain();
  const config = zConfig.parse(JSON.parse(readFileSync(configFile, 'utf8')));
  await runReading(bus, config, new Position((records) => say(String(records))));
}

process.stdin.once('data', () => void run());
// Nobody is left to kill it.
process.stdin.on('end', () => process.exit(1));
say('loaded');
