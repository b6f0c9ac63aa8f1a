/** The control guard of a connection as its host is configured. */
import path from 'node:path';
import type { CaptureOptions, CaptureTimings } from '../capture-options.ts';
import { randomHex } from '../random.ts';
import { ControlGuard, type GuardOptions } from './guard.ts';
import { keysOfDataDir, parseControlKeys } from './keys.ts';

export function newGuard(
  options: CaptureOptions,
  timings: CaptureTimings,
  told: Pick<GuardOptions, 'record' | 'changed'>,
): ControlGuard {
  const { settings } = options;
  const fromEnvironment =
    settings.controlKeys === undefined
      ? undefined
      : parseControlKeys(settings.controlKeys, 'TRIPLINE_CONTROL_KEYS');
  return new ControlGuard({
    file: path.join(settings.dataDir, 'capture', 'controls.json'),
    approvalsDirectory: path.join(settings.dataDir, 'capture', 'approvals'),
    randomHex,
    pinnedKeys: () => fromEnvironment ?? keysOfDataDir(settings.dataDir),
    address: settings.address,
    onChannelLost: settings.onChannelLost,
    lostAfterMs: timings.channelLostAfterMs,
    firstWaitMs: timings.firstWaitMs,
    nowMs: () => Date.now(),
    ...told,
    log: options.log,
  });
}
