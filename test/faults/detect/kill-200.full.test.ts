/** 200,000 events: what detect tells does not depend on where it was killed, nor on who read which part. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TOPICS } from '../../../schemas/topics.ts';
import type { EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { RunningStep } from '../../../services/platform/step.ts';
import { alertsOf, openBus, PARTITIONS, recordsOf } from '../../integration/detect/harness.ts';
import { seeded, type Random } from '../../properties/detect/streams.ts';
import { compiledBelow } from '../../support/compiled.ts';
import { appendLog, configIn, EVENTS } from './long-log.ts';
import { Position, rest, runReading, Together } from './reading.ts';

const CHILD = fileURLToPath(new URL('./reading-child.ts', import.meta.url));
/** In a shorter log fewer, as far apart. */
const KILLS = Math.ceil(EVENTS / 1_000);
const HAND_OVER_EVENTS = EVENTS / 4;
const HAND_OVERS = Math.ceil(HAND_OVER_EVENTS / 1_000);
const REST_MS = 240_000;
const SEED = Number(process.env['KILL_SEED'] ?? 20_261_125);

/** A process that has loaded its code and waits; so the next is ready when one is killed. */
class Reader {
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private position = 0;
  private wake: () => void = () => undefined;

  constructor(program: string, dir: string, configFile: string) {
    this.child = spawn(process.execPath, [program, dir, configFile], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.exited = once(this.child, 'exit').then(() => this.wake());
    assert.ok(this.child.stdout !== null);
    createInterface(this.child.stdout).on('line', (line) => {
      this.position = line === 'loaded' ? 0 : Number(line);
      this.wake();
    });
  }

  private nextLine(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  /** Lets it read until it has passed `records`, and kills it a little later. */
  async readUntil(records: number, afterMs: number): Promise<void> {
    this.child.stdin?.write('go\n');
    while (this.position < records && this.child.exitCode === null) await this.nextLine();
    assert.equal(this.child.exitCode, null, 'the reader ended by itself');
    await sleep(afterMs);
    await this.kill();
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** Places in a log of so many records, ascending. */
function placesIn(random: Random, count: number, records: number): number[] {
  return Array.from({ length: count }, () => random(records)).toSorted((a, b) => a - b);
}

/** Ids of all alerts; a second publication must be the same bytes. */
async function toldOnce(bus: EmbeddedBus): Promise<string[]> {
  const byId = new Map<string, string>();
  for (const line of await alertsOf(bus)) {
    const text = JSON.stringify(line);
    assert.equal(byId.get(line.alert.id) ?? text, text);
    byId.set(line.alert.id, text);
  }
  return [...byId.keys()].toSorted();
}

describe(`${EVENTS} events`, () => {
  const root = mkdtempSync(join(tmpdir(), 'tripline-detect-200-'));
  const random = seeded(SEED);
  const readers = new Set<Reader>();
  /** What a test that fails leaves running; ending it twice does nothing. */
  const left: (() => Promise<void>)[] = [];

  const config = configIn(root);
  const configFile = join(root, 'config.json');
  let program = '';

  before(() => {
    console.log(`KILL_SEED=${SEED}`);
    writeFileSync(configFile, JSON.stringify(config));
    program = compiledBelow(root, CHILD);
  });
  after(async () => {
    await Promise.all([...readers].map((reader) => reader.kill()));
    for (const end of left.toReversed()) await end();
    rmSync(root, { recursive: true, force: true });
  });

  async function open(name: string): Promise<EmbeddedBus> {
    const bus = await openBus(join(root, name));
    left.push(() => bus.close());
    return bus;
  }

  async function read(bus: EmbeddedBus, position = new Position(() => undefined)): Promise<RunningStep> {
    const detect = await runReading(bus, config, position);
    left.push(() => detect.stop());
    return detect;
  }

  /** Reads the log of a bus from its start, without interruption, on a bus of its own. */
  async function toldAnew(live: EmbeddedBus, name: string): Promise<string[]> {
    const calls = await recordsOf(live, TOPICS.toolcalls.name);
    const bus = await open(name);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const own = calls.filter((record) => record.partition === partition);
      await bus.importPartition(TOPICS.toolcalls.name, partition, own);
    }
    const detect = await read(bus);
    await rest(bus, REST_MS);
    await detect.stop();
    const ids = await toldOnce(bus);
    await bus.close();
    return ids;
  }

  function newReader(dir: string): Reader {
    const reader = new Reader(program, dir, configFile);
    readers.add(reader);
    return reader;
  }

  it(`killed at ${KILLS} points, it tells what it tells uninterrupted`, async () => {
    const startMs = performance.now();
    const dir = join(root, 'killed');
    const made = await open('killed');
    const records = await appendLog(made, SEED, EVENTS);
    await made.close();
    let reader = newReader(dir);
    for (const place of placesIn(random, KILLS, records)) {
      const next = newReader(dir);
      await reader.readUntil(place, random(25));
      readers.delete(reader);
      reader = next;
    }
    const killedMs = performance.now() - startMs;
    const live = await open('killed');
    const detect = await read(live);
    await rest(live, REST_MS);
    await detect.stop();
    const told = await toldOnce(live);
    assert.deepEqual(told, await toldAnew(live, 'fresh-of-killed'));
    await live.close();
    console.log(
      `${records} records, ${told.length} alerts, ${KILLS} kills in ${Math.round(killedMs / 1000)} s`,
    );
    assert.ok(told.length > EVENTS / 400, `only ${told.length} alerts`);
  });

  it(`handed over ${HAND_OVERS} times, it tells what one reader tells`, async () => {
    const bus = await open('handed');
    const records = await appendLog(bus, SEED + 1, HAND_OVER_EVENTS);
    const together = new Together();
    let owner: RunningStep = await read(bus, together.position());
    for (const place of placesIn(random, HAND_OVERS, records)) {
      await together.until(place);
      // Half of the partitions go to the one that joins, the rest when the other leaves; each in the midst of its batches.
      const joined = await read(bus, together.position());
      await sleep(random(40));
      await owner.stop();
      owner = joined;
    }
    await rest(bus, REST_MS);
    await owner.stop();
    const told = await toldOnce(bus);
    assert.deepEqual(told, await toldAnew(bus, 'fresh-of-handed'));
    await bus.close();
    assert.ok(told.length > HAND_OVER_EVENTS / 400, `only ${told.length} alerts`);
  });
});
