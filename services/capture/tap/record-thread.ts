/**
 * The thread of a tap that looks at lines and puts them on record, so that no call waits for that: the other one
 * (record-port.ts) lets them go. Where a line may be refused or changed, the other one asks here first.
 */
import { writeSync } from 'node:fs';
import { isMainThread, parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { Capture } from '../capture.ts';
import { jsonLog } from '../log.ts';
import type { Direction } from '../message.ts';
import type { Passed } from '../passed.ts';
import { LineFollower } from '../recorder/line-follower.ts';
import { sharedLinesIn } from '../recorder/shared-lines.ts';
import { startFault } from './start-fault.ts';
import { tapSettings } from './tap-settings.ts';
import type { FromRecordThread, RecordThreadData, ToRecordThread } from './thread-messages.ts';

/** Lines that came together are looked at together; a server need not share a core with the look at its own call. */
const LOOK_AFTER_MS = 2;
/** While lines keep coming nobody is told of each: they are looked for this often, */
const LOOK_INTERVAL_MS = 5;
/** less often where as many come as no model asks for: a core that is shared is theirs, and a longer look is a cheaper one; */
const BUSY_INTERVAL_MS = 50;
const BUSY_LINES = 8;
/** and no more when there was none for so many times. */
const IDLE_LOOKS = 5;
/** Looked at in one turn: what is asked meanwhile waits for a millisecond or two. */
const FEW_LINES = 16;
const STDERR = 2;

class RecordThread {
  readonly #port: MessagePort;
  readonly #capture: Capture;
  readonly #follower: LineFollower;
  #idle = 0;
  /** Lines of this look until now. */
  #together = 0;

  constructor(port: MessagePort, { memory, tap, env, hostPid }: RecordThreadData) {
    this.#port = port;
    const { server } = tap;
    const transport = 'stdio';
    this.#follower = new LineFollower({
      shared: sharedLinesIn(memory),
      server,
      transport,
      opened: (place) => this.#say({ kind: 'journal', place }),
    });
    this.#capture = new Capture({
      settings: tapSettings(tap, env),
      server,
      transport,
      hostPid,
      log: jsonLog(writeToStderr, 'warn', () => Date.now()),
      follower: this.#follower,
    });
  }

  #say(message: FromRecordThread): void {
    this.#port.postMessage(message);
  }

  async start(): Promise<void> {
    this.#port.on('message', (message: ToRecordThread) => this.#hear(message));
    this.#say({ kind: 'ready' });
    await this.#capture.start();
    this.#follow();
  }

  #hear(message: ToRecordThread): void {
    switch (message.kind) {
      case 'pass':
        return this.#pass(message.id, message.direction, message.line);
      case 'lines':
        this.#idle = 0;
        return void setTimeout(() => this.#follow(), LOOK_AFTER_MS);
      case 'close':
        return void this.#close();
    }
  }

  async #close(): Promise<void> {
    await this.#capture.close();
    this.#say({ kind: 'closed' });
    this.#port.close();
  }

  #follow(): void {
    const lines = this.#capture.follow(FEW_LINES);
    this.#together += lines;
    if (lines === FEW_LINES) return void setImmediate(() => this.#follow());
    this.#idle = this.#together > 0 ? 0 : this.#idle + 1;
    const intervalMs = this.#together < BUSY_LINES ? LOOK_INTERVAL_MS : BUSY_INTERVAL_MS;
    this.#together = 0;
    if (this.#idle > IDLE_LOOKS && this.#follower.sleep()) return;
    setTimeout(() => this.#follow(), intervalMs).unref();
  }

  #pass(id: number, direction: Direction, line: Uint8Array): void {
    const passed = this.#capture.pass(direction, line);
    if (passed instanceof Promise) void passed.then((outcome) => this.#passed(id, line, outcome));
    else this.#passed(id, line, passed);
  }

  #passed(id: number, line: Uint8Array, { forward, answers, later }: Passed): void {
    const same = forward === line ? 'same' : forward;
    this.#say({ kind: 'passed', id, forward: same, answers, isHeld: later !== undefined });
    void later?.then((outcome) => this.#passed(id, line, outcome));
  }
}

/** At once: what is left to the other thread is lost when that one exits. */
function writeToStderr(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // Nobody reads it, or not as fast as it comes.
  }
}

function threadOf(port: MessagePort, data: RecordThreadData): RecordThread | undefined {
  try {
    return new RecordThread(port, data);
  } catch (error) {
    port.postMessage({ kind: 'failed', ...startFault(error) } satisfies FromRecordThread);
    port.close();
    return undefined;
  }
}

const data = workerData as Partial<RecordThreadData> | null;
if (!isMainThread && parentPort !== null && data?.kind === 'tripline-record-thread')
  await threadOf(parentPort, data as RecordThreadData)?.start();
