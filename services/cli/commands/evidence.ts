/** verify and export: proof of the ledger, from a running service, a data directory or a bundle alike. */
import { createReadStream, createWriteStream, mkdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TriplineError } from '../../../schemas/errors.ts';
import { VERDICT_EXIT_CODES, type VerifyReport } from '../../evidence/report.ts';
import { verifyBundle } from '../../evidence/verify.ts';
import { nodeCrypto } from '../../platform/ledger/crypto.ts';
import { withReader, type CommandContext } from '../command.ts';
import { visible } from '../output.ts';
import type { Filters } from './read.ts';

export const BUNDLE_FILE = 'bundle.ndjson';
const PROGRESS_EVERY_ENTRIES = 50_000;

/** Prints the report; answers the verdict's exit code. `file` is a bundle, or a directory that `export` wrote. */
export async function verify(context: CommandContext, file: string | undefined): Promise<number> {
  const report =
    file === undefined
      ? await withReader(
          context,
          async (client) => await check(context, await client.bytes('/v1/ledger/export')),
        )
      : await check(context, createReadStream(await bundlePath(file)));
  context.output.item(report, () => reportText(report));
  return VERDICT_EXIT_CODES[report.verdict];
}

async function check(context: CommandContext, source: AsyncIterable<Uint8Array>): Promise<VerifyReport> {
  let noted = 0;
  return await verifyBundle(source, nodeCrypto, {
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
  verified: ' (signed by the service; no witness vouches for the heads)',
};

function reportText(report: VerifyReport): string {
  const lines = [
    `${report.verdict}: ${report.entries} entries in ${report.logs.length} logs${HINTS[report.verdict] ?? ''}`,
  ];
  const fault = report.firstFault;
  if (fault !== null) {
    const place = Object.entries(fault).flatMap(([name, value]) =>
      value === null ? [] : [`  ${name}: ${visible(String(value))}`],
    );
    lines.push('first fault:', ...place);
  }
  return lines.join('\n');
}

export interface ExportOptions {
  readonly out: string;
  readonly filters: Filters;
}

/** Writes the bundle and the log's public key into a directory. */
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
