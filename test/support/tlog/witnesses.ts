/** Real witnesses on loopback, and the policy file of those who trust them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { zWitnessConfig } from '../../../schemas/witness/v1.ts';
import { rootOrigin } from '../../../services/evidence/origin.ts';
import { formatVkey, noteKey, NOTE_KEY_TYPES } from '../../../services/evidence/tlog/note.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';
import { loadSigningKey } from '../../../services/sign/key.ts';
import { startWitness, type RunningWitness } from '../../../services/witness/main.ts';

/** Verifier key of the root log of a data directory; makes the log key where there is none yet. */
export async function rootVkey(dataDir: string, deployment = 'local'): Promise<string> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const { publicKey } = await loadSigningKey(dataDir);
  return formatVkey(noteKey(rootOrigin(deployment), NOTE_KEY_TYPES.ed25519, publicKey, sha256));
}

export function witnessConfig(name: string, stateDir: string, logs: readonly string[], port = 0) {
  return zWitnessConfig.parse({ name, stateDir, logs, http: { port } });
}

export function openWitness(
  name: string,
  stateDir: string,
  logs: readonly string[],
  port = 0,
): Promise<RunningWitness> {
  const log = pino({ level: 'silent' });
  return startWitness(witnessConfig(name, stateDir, logs, port), { clock: systemClock, log });
}

/** A policy of `threshold` of these witnesses. */
export function writePolicy(
  file: string,
  logVkey: string,
  witnesses: readonly { readonly vkey: string; readonly url: string }[],
  threshold: number,
): void {
  const names = witnesses.map((_, at) => `w${at + 1}`);
  const lines = [
    `log ${logVkey}`,
    ...witnesses.map(({ vkey, url }, at) => `witness ${names[at]} ${vkey} ${url}`),
    `group all-of-them ${threshold} ${names.join(' ')}`,
    'quorum all-of-them',
  ];
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, `${lines.join('\n')}\n`);
}
