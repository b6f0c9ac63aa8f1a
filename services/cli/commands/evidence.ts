/** verify and export: proof of the ledger, from a running service, a data directory or a bundle alike. */
import { createReadStream, createWriteStream, mkdirSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { checkEd25519PublicKey } from '../../../schemas/control/key.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { fromBase64 } from '../../evidence/bytes.ts';
import { VERDICT_EXIT_CODES, type VerifyReport } from '../../evidence/report.ts';
import { parseCheckpoint, type Checkpoint } from '../../evidence/tlog/checkpoint.ts';
import { parsePolicy, type Policy } from '../../evidence/tlog/policy.ts';
import { parseTrustedProducers } from '../../evidence/producer-policy.ts';
import type { TrustedProducers } from '../../evidence/producer-tally.ts';
import { verifyBundle, type VerifyOptions } from '../../evidence/verify.ts';
import { nodeCrypto, sha256 } from '../../platform/ledger/crypto.ts';
import { withReader, type CommandContext } from '../command.ts';
import { visible } from '../output.ts';
import type { Filters } from './read.ts';

export const BUNDLE_FILE = 'bundle.ndjson';
const PROGRESS_EVERY_ENTRIES = 50_000;
const MAX_ENDS_SHOWN = 10;

export interface VerifySources {
  /** A bundle, or a directory that `export` wrote; else the service or the data directory. */
  readonly file: string | undefined;
  /** Public key of the log, as `log.pub` holds it: then no other key may have signed. */
  readonly keyFile: string | undefined;
  /** A tlog-policy file: who has to vouch. */
  readonly policyFile: string | undefined;
  /** A root checkpoint that was kept. */
  readonly checkpointFile: string | undefined;
  /** Agent keys that count. */
  readonly agentKeysFile: string | undefined;
}

/** Prints the report; answers the verdict's exit code. */
export async function verify(context: CommandContext, sources: VerifySources): Promise<number> {
  const { file } = sources;
  const trust = await readTrust(sources);
  const report =
    file === undefined
      ? await withReader(
          context,
          async (client) => await check(context, await client.bytes('/v1/ledger/export'), trust),
        )
      : await check(context, createReadStream(await bundlePath(file)), trust);
  context.output.item(report, () => reportText(report));
  return VERDICT_EXIT_CODES[report.verdict];
}

type Trust = Pick<VerifyOptions, 'publicKeys' | 'policy' | 'keptCheckpoint' | 'trustedProducers'>;

async function readTrust(sources: VerifySources): Promise<Trust> {
  const { keyFile, policyFile, checkpointFile, agentKeysFile } = sources;
  return {
    ...(agentKeysFile === undefined ? {} : { trustedProducers: await readAgentKeys(agentKeysFile) }),
    ...(keyFile === undefined ? {} : { publicKeys: [await readLogKey(keyFile)] }),
    ...(policyFile === undefined ? {} : { policy: await readPolicy(policyFile) }),
    ...(checkpointFile === undefined ? {} : { keptCheckpoint: await readKept(checkpointFile) }),
  };
}

/** Bytes above ASCII are opaque in a policy: one character a byte. */
async function readPolicy(path: string): Promise<Policy> {
  return parsePolicy(await readOption(path, '--policy', 'latin1'), sha256);
}

async function readKept(path: string): Promise<Checkpoint> {
  const checkpoint = parseCheckpoint(await readOption(path, '--checkpoint', 'utf8'));
  if (checkpoint !== undefined) return checkpoint;
  throw new TriplineError('usage', `${path} holds no checkpoint`, { path: '--checkpoint' });
}

async function readAgentKeys(path: string): Promise<TrustedProducers> {
  const parsed = parseTrustedProducers(await readOption(path, '--agent-keys', 'utf8'), sha256);
  if (parsed.kind === 'keys') return parsed.keys;
  throw new TriplineError('usage', `${path}, line ${parsed.line}: ${parsed.fault}`, { path: '--agent-keys' });
}

function readOption(path: string, option: string, encoding: 'utf8' | 'latin1'): Promise<string> {
  return readFile(path, encoding).catch((cause: unknown) => {
    throw new TriplineError('usage', `${path} cannot be read`, { path: option, cause });
  });
}

async function readLogKey(path: string): Promise<Uint8Array> {
  const text = await readOption(path, '--key', 'utf8');
  const key = fromBase64(text.trim());
  if (key === undefined || checkEd25519PublicKey(key) !== 'ok')
    throw new TriplineError('usage', `${path} holds no Ed25519 key in base64`, { path: '--key' });
  return key;
}

async function check(
  context: CommandContext,
  source: AsyncIterable<Uint8Array>,
  trust: Trust,
): Promise<VerifyReport> {
  let noted = 0;
  return await verifyBundle(source, nodeCrypto, {
    ...trust,
    onProgress: (entries) => {
      if (entries - noted < PROGRESS_EVERY_ENTRIES) return;
      noted = entries;
      context.output.note(`checked ${entries} entries`);
    },
  });
}

async function bundlePath(path: string): Promise<string> {
  try {
    return (await stat(path)).isDirectory() ? join(path, BUNDLE_FILE) : path;
  } catch (cause) {
    throw new TriplineError('usage', `${path} cannot be read`, { path: '--export', cause });
  }
}

/** What a verdict leaves open, for people. */
const HINTS: Partial<Record<VerifyReport['verdict'], string>> = {
  verified: ' (signed by the service; no witness vouches for all of it)',
  verified_witnessed: ' (signed by the service, and witnesses vouch for it)',
};

function reportText(report: VerifyReport): string {
  const lines = [
    `${report.verdict}: ${report.entries} entries in ${report.logs.length} logs${HINTS[report.verdict] ?? ''}`,
  ];
  const scope = Object.entries(report.filter).map(([name, value]) => `${name} ${visible(value)}`);
  if (scope.length > 0) lines.push(`only of ${scope.join(', ')}, as the bundle says`);
  if (report.partial)
    lines.push('entries were left out: what is here is sound, whether it is all is not told');
  if (!report.keysPinned) lines.push('the key is the one that came along: compare it with --key log.pub');
  lines.push(...witnessLines(report), ...producerLines(report));
  const fault = report.firstFault;
  if (fault !== null) {
    const place = Object.entries(fault).flatMap(([name, value]) =>
      value === null ? [] : [`  ${name}: ${visible(String(value))}`],
    );
    lines.push('first fault:', ...place);
  }
  return lines.join('\n');
}

function producerLines({ producers }: VerifyReport): string[] {
  const { signed, unsigned, unregistered, revoked, unjudged, unchecked, openEnds, openEndCount } = producers;
  const others = { unregistered, revoked, unjudged, unchecked };
  const marks = Object.entries(others).flatMap(([name, count]) => (count === 0 ? [] : [`${name}: ${count}`]));
  const ends = openEnds.slice(0, MAX_ENDS_SHOWN).map((end) => {
    const missing = end.count === null ? 'fell silent' : `closed over ${end.count} events`;
    return `  stream ${end.stream}, session ${visible(end.session)}: ${missing} after ${end.nextSeq}`;
  });
  return [
    `signed: ${signed}, unsigned: ${unsigned}${marks.map((mark) => `, ${mark}`).join('')}`,
    ...(openEndCount === 0 ? [] : [`${openEndCount} streams without their end`, ...ends]),
  ];
}

function witnessLines({ witness }: VerifyReport): string[] {
  if (witness === null) return [];
  const { quorum, witnesses, cosignedAtMs, unwitnessedEntries } = witness;
  const at = cosignedAtMs === null ? 'never' : new Date(cosignedAtMs).toISOString();
  const names = witnesses.length === 0 ? 'nobody' : witnesses.map((name) => visible(name)).join(', ');
  return [
    `cosigned by ${names}, at ${at}: ${quorum ? 'the policy is met' : 'the policy is not met'}`,
    ...(quorum && unwitnessedEntries > 0
      ? [`${unwitnessedEntries} entries came later and are not witnessed`]
      : []),
  ];
}

export interface ExportOptions {
  readonly out: string;
  readonly filters: Filters;
}

/** Writes the bundle into a directory. The key to check it with comes from elsewhere: one that lies beside it proves nothing. */
export async function exportBundle(context: CommandContext, { out, filters }: ExportOptions): Promise<void> {
  mkdirSync(out, { recursive: true });
  const path = join(out, BUNDLE_FILE);
  const wanted = ['tenant', 'session', 'since', 'until'].flatMap((name) => {
    const value = filters[name];
    return value === undefined ? [] : [[name, value] satisfies [string, string]];
  });
  const query = new URLSearchParams(wanted).toString();
  let bytes = 0;
  await withReader(context, async (client) => {
    const source = await client.bytes(`/v1/ledger/export${query === '' ? '' : `?${query}`}`);
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        bytes += chunk.length;
        yield chunk;
      }
    };
    await pipeline(Readable.from(counted()), createWriteStream(path));
  });
  context.output.item(
    { file: path, bytes },
    () => `${path}: ${bytes} bytes. Check it with: tripline verify --export ${out}`,
  );
}
