/** verify and export: proof of the ledger, from a running service, a data directory or a bundle alike. */
import { randomInt } from 'node:crypto';
import { createWriteStream, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TriplineError } from '../../../schemas/errors.ts';
import { ENTRY_TYPES } from '../../evidence/entry.ts';
import type { BundleLine } from '../../evidence/bundle.ts';
import { BundleFiles, type BundleFile } from '../../evidence/bundle-files.ts';
import { readBundle } from '../../evidence/read-bundle.ts';
import type { VerifiedLog } from '../../evidence/depth.ts';
import { OcsfEvents } from '../../evidence/ocsf.ts';
import { VERDICT_EXIT_CODES, type VerifyReport } from '../../evidence/report.ts';
import { reportText } from '../../evidence/report-text.ts';
import { verifyBundle, type VerifyOptions } from '../../evidence/verify.ts';
import { makeDirectory } from '../../platform/directory.ts';
import { nodeCrypto, sha256 } from '../../platform/ledger/crypto.ts';
import type { BundleFormat } from '../../platform/ledger/export.ts';
import { verifyPath } from '../../verifier/folder.ts';
import { verifyRootCopy } from '../../verifier/root-copy.ts';
import { BUNDLE_FILES, openBundle, readTrust, type TrustFiles } from '../../verifier/sources.ts';
import { defaultJobs, withWorkers } from '../../verifier/workers.ts';
import type { ApiClient } from '../client.ts';
import { withReader, type CommandContext } from '../command.ts';
import { visible } from '../output.ts';
import { verifierScript } from '../verifier-script.ts';
import { VerifyState } from '../verify-state.ts';
import type { Filters } from './read.ts';

const OCSF_FILE = 'ocsf.ndjson';
const PROGRESS_EVERY_ENTRIES = 50_000;

export interface VerifySources extends TrustFiles {
  /** A bundle, or a directory that `export` wrote; else the service or the data directory. */
  readonly file: string | undefined;
  /** A copy of the root log alone. */
  readonly rootLog: string | undefined;
  /** Look into one of so many entries. */
  readonly sampleEvery: number | undefined;
  /** State of an earlier run, which is gone on with; written as the run goes on. */
  readonly resumeFile: string | undefined;
  /** Threads that look into the bundle; absent: as many as there are cores. */
  readonly jobs: number | undefined;
}

/** Prints the report; answers the verdict's exit code. */
export async function verify(context: CommandContext, sources: VerifySources): Promise<number> {
  const { sampleEvery, resumeFile } = sources;
  if (sources.file !== undefined && sources.rootLog !== undefined)
    throw new TriplineError('usage', 'a bundle or a root log, not both', { path: '--root-log' });
  if (sampleEvery !== undefined && resumeFile !== undefined)
    throw new TriplineError('usage', 'a sample leaves no state that could be gone on with', {
      path: '--resume',
    });
  const options = { ...readTrust(sources), ...sampleOf(sampleEvery) };
  const state = resumeFile === undefined ? undefined : VerifyState.open(resumeFile);
  const run = { context, options, state };
  const jobs = sources.jobs ?? defaultJobs();
  const report = await withWorkers({ jobs, script: verifierScript() }, (workers) =>
    check({ ...run, options: { ...options, ...workers } }, reportOf(sources, run)),
  );
  context.output.item(report, () => reportText(report));
  return VERDICT_EXIT_CODES[report.verdict];
}

interface VerifyRun {
  readonly context: CommandContext;
  readonly options: VerifyOptions;
  readonly state: VerifyState | undefined;
}

/** How a report comes about of what was named: a bundle, a root log, or the service or data directory. */
function reportOf(
  { file, rootLog }: VerifySources,
  run: VerifyRun,
): (options: VerifyOptions) => Promise<VerifyReport> {
  const { signal } = run.context.io;
  if (rootLog !== undefined) return (options) => verifyRootCopy(rootLog, options, signal);
  if (file !== undefined) return (options) => verifyPath(file, options, signal);
  return (options) =>
    withReader(run.context, async (client) =>
      verifyBundle(await liveBundle(client, run), nodeCrypto, options),
    );
}

/** Which entries of each so many is drawn: who alters rows must not know which ones will be looked into. */
function sampleOf(every: number | undefined): Pick<VerifyOptions, 'sample'> {
  return every === undefined ? {} : { sample: { every, phase: randomInt(every) } };
}

/** Without what will not be looked into. */
function liveBundle(client: ApiClient, { options, state }: VerifyRun): Promise<AsyncIterable<Uint8Array>> {
  const verified = state?.verified.map(({ logId, size }) => ({ logId, size })) ?? [];
  if (options.sample === undefined && verified.length === 0)
    return client.bytes('/v1/ledger/export?format=binary');
  return client.bytes('/v1/ledger/verify', {
    format: 'binary',
    ...(options.sample === undefined ? {} : { sample: options.sample }),
    verified,
  });
}

/** The state is written also where the run is cut short: what it says was checked by then. */
async function check(
  { context, options, state }: VerifyRun,
  act: (options: VerifyOptions) => Promise<VerifyReport>,
): Promise<VerifyReport> {
  let noted = 0;
  let verified: () => readonly VerifiedLog[] = () => [];
  const onProgress: VerifyOptions['onProgress'] = (entries, soFar) => {
    verified = soFar;
    if (entries - noted < PROGRESS_EVERY_ENTRIES) return;
    noted = entries;
    context.output.note(`checked ${entries} entries`);
    state?.write(soFar());
  };
  const resume = state === undefined ? {} : { resume: state.verified };
  try {
    const report = await act({ ...options, ...resume, onProgress });
    if (report.firstFault === null) state?.write(verified());
    return report;
  } catch (error) {
    state?.write(verified());
    throw error;
  }
}

export interface ExportOptions {
  readonly out: string;
  /** Each entry's bytes as a file of its own. */
  readonly payloads: boolean;
  /** NDJSON is readable, binary is smaller and verified several times as fast. */
  readonly format: BundleFormat;
  /** Calls and alerts as OCSF events, a line each. */
  readonly ocsf: boolean;
  readonly filters: Filters;
}

/**
 * Writes the bundle into a directory, and what follows from it in the forms of other tools (services/evidence/bundle-files.ts
 * has the layout). The key to check it with comes from
 * elsewhere: one that lies beside it proves nothing.
 */
export async function exportBundle(
  context: CommandContext,
  { out, filters, payloads, ocsf, format }: ExportOptions,
): Promise<void> {
  makeOut(out);
  const path = join(out, BUNDLE_FILES[format]);
  // What an export of before left there would be a second bundle.
  for (const name of Object.values(BUNDLE_FILES)) rmSync(join(out, name), { force: true });
  const wanted = ['tenant', 'session', 'event', 'since', 'until'].flatMap((name) => {
    const value = filters[name];
    return value === undefined ? [] : [[name, value] satisfies [string, string]];
  });
  const query = new URLSearchParams([...wanted, ['format', format]]).toString();
  let bytes = 0;
  await withReader(context, async (client) => {
    const source = await client.bytes(`/v1/ledger/export?${query}`);
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        bytes += chunk.length;
        yield chunk;
      }
    };
    await pipeline(Readable.from(counted()), createWriteStream(path));
  });
  await refuseEmpty(out, path, filters);
  const { files, entries } = await writeBeside(out, payloads);
  if (ocsf) await writeOcsf(out);
  context.output.item(
    { file: path, bytes, files, entries },
    () => `${path}: ${entries} entries, ${bytes} bytes. Check it with: tripline verify --export ${out}`,
  );
}

/** For others to read, as far as the umask lets them. */
function makeOut(out: string): void {
  try {
    makeDirectory(out, 0o777);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new TriplineError('usage', `${out} cannot be made (${why})`, { path: '--out', cause });
  }
}

/**
 * What was asked for by its name and is not there would look like a proof of it. A time in which nothing happened is an
 * answer. Throws not_found, and the bundle is gone then.
 */
async function refuseEmpty(dir: string, path: string, { session, event }: Filters): Promise<void> {
  if (session === undefined && event === undefined) return;
  for await (const line of readBundle(openBundle(dir))) if (isOfSomebody(line)) return;
  rmSync(path, { force: true });
  const what = session === undefined ? `event ${visible(event ?? '')}` : `session ${visible(session)}`;
  throw new TriplineError(
    'not_found',
    `no signed entry is of ${what}; what came just now is signed in a moment`,
  );
}

/** ERASURE entries are in every bundle: they explain what is missing. */
function isOfSomebody(line: BundleLine): boolean {
  return line.type === 'rows' && line.ledger.some(({ type }) => type !== ENTRY_TYPES.erasure);
}

async function writeOcsf(dir: string): Promise<void> {
  const events = new OcsfEvents(sha256);
  const lines = async function* (): AsyncGenerator<string> {
    for await (const line of readBundle(openBundle(dir)))
      for (const event of events.take(line)) yield `${event}\n`;
  };
  await pipeline(Readable.from(lines()), createWriteStream(join(dir, OCSF_FILE)));
}

/** Answers how many files were written, and how many entries the bundle has. */
async function writeBeside(
  dir: string,
  withPayloads: boolean,
): Promise<{ readonly files: number; readonly entries: number }> {
  const files = new BundleFiles(sha256);
  let written = 0;
  let entries = 0;
  const write = async (some: Iterable<BundleFile>): Promise<void> => {
    for (const [name, content] of some) {
      if (!withPayloads && name.startsWith('payload/')) continue;
      const file = join(dir, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      written += 1;
    }
  };
  for await (const line of readBundle(openBundle(dir))) {
    if (line.type === 'rows') entries += 1;
    await write(files.take(line));
  }
  await write(files.finish());
  return { files: written, entries };
}
