/** Whether the control channel speaks to this host, and whether what it says is signed by the pinned key. */
import type { SignedControl } from '../../../schemas/control/v1.ts';
import { verifySignedControl } from '../../../schemas/control/verify.ts';
import { ControlChannel } from '../controls/channel.ts';
import { keysOfDataDir, parseControlKeys, verifyEd25519 } from '../controls/keys.ts';
import { silentLog } from '../log.ts';
import type { CaptureSettings } from '../settings.ts';
import type { Finding } from './finding.ts';

/** Connects as a host does and waits for the first word, at most `withinMs`. */
export async function channelFinding(settings: CaptureSettings, withinMs: number): Promise<Finding> {
  const fromMs = performance.now();
  const controls = await firstSnapshot(settings, withinMs);
  const ms = performance.now() - fromMs;
  if (controls === undefined)
    return {
      check: 'channel',
      status: 'fail',
      detail: `the control channel said nothing within ${withinMs} ms: kill switches do not arrive`,
      do: 'let WebSockets to /v1/controls/stream pass, and check the token (role producer)',
    };
  const keys =
    settings.controlKeys === undefined
      ? keysOfDataDir(settings.dataDir)
      : parseControlKeys(settings.controlKeys, 'TRIPLINE_CONTROL_KEYS');
  const foreign = controls.filter(
    (signed) => verifySignedControl(signed, keys, verifyEd25519).kind === 'invalid',
  );
  if (foreign.length > 0)
    return {
      check: 'channel',
      status: 'fail',
      ms,
      detail: `${foreign.length} of ${controls.length} controls are not signed by a pinned key and do not count here`,
      do: 'pin the control.pub of this service',
    };
  return {
    check: 'channel',
    status: 'ok',
    ms,
    detail: `up; ${controls.length} controls on it, all signed by a pinned key`,
  };
}

function firstSnapshot(
  settings: CaptureSettings,
  withinMs: number,
): Promise<readonly SignedControl[] | undefined> {
  return new Promise((resolve) => {
    const end = (controls: readonly SignedControl[] | undefined): void => {
      clearTimeout(timer);
      channel.stop();
      resolve(controls);
    };
    const timer = setTimeout(() => end(undefined), withinMs);
    const channel = new ControlChannel({
      address: settings.address,
      onControls: (controls, isSnapshot) => {
        if (isSnapshot) end(controls);
      },
      onVerdict: () => undefined,
      onApproval: () => undefined,
      onDown: () => undefined,
      log: silentLog,
    });
    channel.start();
  });
}
