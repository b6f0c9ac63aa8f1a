/** The server behind a tap, in the environment of its host. */
import type { CaptureLog } from '../log.ts';
import type { Environment } from '../settings.ts';
import type { TapArguments } from './options.ts';
import { runProxy, type LineObserver, type TapProcess } from './proxy.ts';

/** What a tap needs of its process: `process` itself fits. */
export interface TapIo extends TapProcess {
  readonly stderr: { write(text: string): unknown };
  readonly ppid: number;
}

/** How many taps stand before this one. */
export const DEPTH_VARIABLE = 'TRIPLINE_TAP_DEPTH';

export interface TapOptions {
  readonly tap: TapArguments;
  readonly env: Environment;
  readonly depth: number;
  readonly io: TapIo;
  readonly log: CaptureLog;
}

/** Runs the server and lets `observer` see each line; resolves with its exit code. */
export function runServer({ tap, env, depth, io, log }: TapOptions, observer: LineObserver): Promise<number> {
  return runProxy({
    command: tap.command,
    args: tap.args,
    env: { ...env, [DEPTH_VARIABLE]: String(depth + 1) },
    process: io,
    observer,
    log,
  });
}
