/** What of its host a connection goes by, as the host is configured. */
import type { CaptureOptions } from './capture-options.ts';
import { HostLabels } from './labels/host-labels.ts';
import { HostPolicy } from './policy/host-policy.ts';
import { bootId, readProcess } from './processes.ts';
import { sha256Hex } from './recorder/chain.ts';
import { HostRedaction } from './redaction/host-redaction.ts';
import { deriveSessionId, hostProcess } from './session.ts';
import type { CaptureSettings } from './settings.ts';

export function redactionOf({ shared, settings: { redaction } }: CaptureOptions): HostRedaction | undefined {
  return shared?.redaction ?? (redaction === undefined ? undefined : new HostRedaction(redaction));
}

/** Where no answer is held while the spool is full, nor asked for by policy or redaction. */
export function answersMayGoFirst(
  { onSpoolFull }: CaptureSettings,
  parts: readonly (HostPolicy | HostRedaction | undefined)[],
): boolean {
  // A policy filters lists; what an answer holds must be known before it can come again in another body.
  return onSpoolFull === 'gap' && parts.every((part) => part === undefined);
}

export function labelsOf({ shared, settings: { boundary }, log }: CaptureOptions): HostLabels | undefined {
  return shared?.labels ?? (boundary === undefined ? undefined : new HostLabels(boundary, log));
}

/** Where their record can wait: nothing of a request is changed, held or timed (spans), and no disk is waited for. */
export function requestsMayGoFirst({ settings, spans }: CaptureOptions): boolean {
  return settings.hold === undefined && !settings.injectTrace && !settings.spoolFsync && spans === undefined;
}

export function policyOf({ shared, settings: { policy }, log }: CaptureOptions): HostPolicy | undefined {
  return shared?.policy ?? (policy === undefined ? undefined : new HostPolicy(policy, log));
}

export function sessionOf(options: CaptureOptions): string {
  const origin = {
    hostName: options.settings.host,
    bootId: bootId(),
    process: hostProcess(options.hostPid, readProcess),
    parentPid: options.hostPid,
  };
  return deriveSessionId(origin, sha256Hex);
}
