/** The stdio proxy: host ⇄ tap ⇄ server process. It outlives neither end, and never writes its own words to stdout. */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import type { Passed } from '../passed.ts';
import type { CaptureLog } from '../log.ts';
import type { Direction } from '../message.ts';
import { LinePump } from './line-pump.ts';
import { watchOver } from './watchdog.ts';

/** What the proxy needs of the process it runs in. */
export interface TapProcess {
  readonly stdin: Readable;
  readonly stdout: Writable;
  on(signal: NodeJS.Signals, listener: () => void): unknown;
  removeListener(signal: NodeJS.Signals, listener: () => void): unknown;
}

/** What the proxy needs of the recording side. */
export interface LineObserver {
  pass(direction: Direction, line: Uint8Array): Passed | Promise<Passed>;
}

export interface ProxyOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly process: TapProcess;
  readonly observer: LineObserver;
  readonly log: CaptureLog;
  /** Between EOF, SIGTERM and SIGKILL. */
  readonly graceMs?: number;
}

const GRACE_MS = 2_000;
/** Output of a server that ended, or of a grandchild that holds its pipe, is waited for this long. */
const OUTPUT_GRACE_MS = 1_000;
const MAX_LINE_BYTES = 64 * 1024 * 1024;
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SPAWN_FAILED_EXIT = 127;

/** Runs the server until it ends; answers its exit code (128 + signal number when a signal ended it, 127 when it cannot be started). */
export async function runProxy(options: ProxyOptions): Promise<number> {
  const { process: host } = options;
  const child = spawn(options.command, options.args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...options.env },
    windowsHide: true,
  });
  const exit = childExit(child, options.log);
  const watchdog = watchOver(child, options.graceMs ?? GRACE_MS);
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) return await exit;
  stdin.on('error', () => undefined); // EPIPE: the server is gone; its exit follows.
  const toClient: LinePump = new LinePump({
    ...pumpOptions(options, 'to_client'),
    source: stdout,
    sink: host.stdout,
    answer: (text) => void stdin.write(`${text}\n`),
    onLongLine: 'forward',
  });
  const toServer = new LinePump({
    ...pumpOptions(options, 'to_server'),
    source: host.stdin,
    sink: stdin,
    answer: (text) => void toClient.inject(text),
    // A call that cannot be looked at must not reach the server.
    onLongLine: 'discard',
  });
  const ending = new ChildEnding(child, options.graceMs ?? GRACE_MS);
  const signals = forwardSignals(options, ending);
  host.stdout.on('error', () => ending.begin()); // EPIPE: the host is gone.
  void toServer.finished.then(() => ending.begin());
  toClient.start();
  toServer.start();
  const code = await exit;
  ending.done();
  watchdog.dismiss();
  await Promise.race([toClient.finished, delay(OUTPUT_GRACE_MS)]);
  signals.stop();
  host.stdin.destroy();
  await flushed(host.stdout);
  return code;
}

function pumpOptions(options: ProxyOptions, direction: Direction) {
  return {
    pass: (line: Uint8Array) => options.observer.pass(direction, line),
    maxLineBytes: MAX_LINE_BYTES,
    onLongLineSeen: () => options.log('error', 'line_too_long', { direction, maxBytes: MAX_LINE_BYTES }),
  };
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref());

function flushed(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.writableLength === 0) return Promise.resolve();
  return Promise.race([
    new Promise<void>((resolve) => void stream.write('', () => resolve())),
    delay(OUTPUT_GRACE_MS),
  ]);
}

function childExit(child: ChildProcess, log: CaptureLog): Promise<number> {
  return new Promise((resolve) => {
    child.on('error', (error) => {
      const code = 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
      log('error', 'server_not_started', { code });
      if (child.pid === undefined) resolve(SPAWN_FAILED_EXIT);
    });
    child.on('exit', (code, signal) =>
      resolve(code ?? (signal === null ? 1 : 128 + constants.signals[signal])),
    );
  });
}

/** The end of a server whose host left: EOF, then SIGTERM, then SIGKILL. SDK servers do not exit on EOF by themselves. */
class ChildEnding {
  readonly #child: ChildProcess;
  readonly #graceMs: number;
  #begun = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(child: ChildProcess, graceMs: number) {
    this.#child = child;
    this.#graceMs = graceMs;
  }

  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#child.stdin?.end();
    this.#timer = setTimeout(() => {
      this.#child.kill('SIGTERM');
      this.#timer = setTimeout(() => this.#child.kill('SIGKILL'), this.#graceMs);
    }, this.#graceMs);
  }

  /** Passes a signal of the host on; a server that does not heed it is ended. */
  forward(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
    this.begin();
  }

  done(): void {
    this.#begun = true;
    clearTimeout(this.#timer);
  }
}

function forwardSignals(options: ProxyOptions, ending: ChildEnding): { stop(): void } {
  const { process: host } = options;
  const listeners = FORWARDED_SIGNALS.map((signal) => {
    const listener = (): void => {
      ending.forward(signal);
    };
    host.on(signal, listener);
    return { signal, listener };
  });
  return {
    stop: () => {
      for (const { signal, listener } of listeners) host.removeListener(signal, listener);
    },
  };
}
