/** What can be said of a host without its service: the spool and the pinned key. */
import { accessSync, constants, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeDirectory } from '../../platform/directory.ts';
import { keysOfDataDir, parseControlKeys } from '../controls/keys.ts';
import { bootId, pidSpace, readProcess } from '../processes.ts';
import { ownershipOf } from '../recorder/owner.ts';
import type { CaptureSettings } from '../settings.ts';
import type { Finding } from './finding.ts';

/** Whether events can be spooled here, and what waits from processes that are gone. */
export function spoolFinding(settings: CaptureSettings): Finding {
  const directory = path.join(settings.dataDir, 'spool');
  const probe = path.join(directory, `.doctor-${process.pid}`);
  try {
    makeDirectory(directory);
    writeFileSync(probe, 'probe', { mode: 0o600, flush: true });
    rmSync(probe);
  } catch {
    return {
      check: 'spool',
      status: 'fail',
      detail: `${directory} cannot be written: calls would go unrecorded`,
      do: 'make it writable for the user of the host, or set TRIPLINE_DATA_DIR',
    };
  }
  const { left, live, bytes } = depthOf(directory);
  const detail = `${directory} is writable; ${bytes} bytes in ${left + live} streams, ${left} of them left by processes that are gone`;
  return left === 0
    ? { check: 'spool', status: 'ok', detail }
    : {
        check: 'spool',
        status: 'warn',
        detail,
        do: 'they are sent by the next tap or gate, and by this command, once the service takes them',
      };
}

function depthOf(directory: string): {
  readonly left: number;
  readonly live: number;
  readonly bytes: number;
} {
  const here = { bootId: bootId(), pidSpace: pidSpace(), readProcess };
  const counts = { left: 0, live: 0, bytes: 0 };
  for (const name of readdirSync(directory)) {
    const { kind } = ownershipOf(name, here);
    if (kind === 'not_ours') continue;
    const bytes = bytesBelow(path.join(directory, name));
    // One that ended before its stream began has left nothing to be sent.
    if (kind === 'dead' && bytes === 0) continue;
    counts[kind === 'dead' ? 'left' : 'live'] += 1;
    counts.bytes += bytes;
  }
  return counts;
}

/** Files may go while we look: their tap sends them. */
function bytesBelow(directory: string): number {
  try {
    return readdirSync(directory).reduce((sum, name) => sum + statSync(path.join(directory, name)).size, 0);
  } catch {
    return 0;
  }
}

/** Whether a key for controls is pinned. Throws config_invalid for one that is none. */
export function keyFinding(settings: CaptureSettings): Finding {
  const file = path.join(settings.dataDir, 'control.pub');
  const fromEnvironment = settings.controlKeys !== undefined;
  const keys = fromEnvironment
    ? parseControlKeys(settings.controlKeys, 'TRIPLINE_CONTROL_KEYS')
    : keysOfDataDir(settings.dataDir);
  if (keys.length === 0)
    return {
      check: 'control key',
      status: 'fail',
      detail: 'no key is pinned: no kill switch can reach this host',
      do: `copy control.pub of the service's data directory to ${file}, or set TRIPLINE_CONTROL_KEYS`,
    };
  if (!fromEnvironment && isOpenToOthers(file))
    return {
      check: 'control key',
      status: 'fail',
      detail: `others may write ${file}, and so choose whose kill switches count`,
      do: `chmod go-w ${file}`,
    };
  const ids = keys.map(({ keyId }) => keyId.slice(0, 16)).join(', ');
  return {
    check: 'control key',
    status: 'ok',
    detail: `${ids} pinned by ${fromEnvironment ? 'TRIPLINE_CONTROL_KEYS' : file}`,
  };
}

function isOpenToOthers(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return process.platform !== 'win32' && (statSync(file).mode & 0o022) !== 0;
  } catch {
    return false;
  }
}
