/**
 * A bundle, and the files that may lie beside it in the forms of other tools. They all follow from the bundle, so each
 * is made again and compared: what lies in the folder can neither say more nor something else.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BundleFiles, type BundleFile } from '../evidence/bundle-files.ts';
import { readBundle } from '../evidence/read-bundle.ts';
import { equalBytes } from '../evidence/bytes.ts';
import { VERDICT_EXIT_CODES, type VerifyReport } from '../evidence/report.ts';
import { verifyBundle, type VerifyOptions } from '../evidence/verify.ts';
import { nodeCrypto, sha256 } from '../platform/ledger/crypto.ts';
import { isFolder, openBundle } from './sources.ts';

/** A bundle, or a folder that `export` wrote. Throws usage where there is none, export_invalid for no bundle. */
export async function verifyPath(
  path: string,
  options: VerifyOptions,
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const source = () => openBundle(path, signal);
  if (isFolder(path)) return await verifyWithFiles({ dir: path, source }, options);
  return await verifyBundle(source(), nodeCrypto, options);
}

/** A bundle, which is read twice, and the files in a folder that must follow from it. */
export async function verifyWithFiles(
  { dir, source }: { readonly dir: string; readonly source: () => AsyncIterable<Uint8Array> },
  options: VerifyOptions,
): Promise<VerifyReport> {
  const report = await verifyBundle(source(), nodeCrypto, options);
  if (report.firstFault !== null) return report;
  const fault = await firstOther(dir, source());
  return fault === undefined ? report : invalid(report, fault);
}

async function firstOther(dir: string, source: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  const files = new BundleFiles(sha256);
  const beside = new Beside(dir);
  for await (const line of readBundle(source)) {
    for (const file of files.take(line)) if (beside.differs(file)) return file[0];
  }
  for (const file of files.finish()) if (beside.differs(file)) return file[0];
  return undefined;
}

/** A kind of file may be left out as a whole: not one tile or one proof of it. */
class Beside {
  readonly #dir: string;
  readonly #folders = new Map<string, boolean>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  differs([path, content]: BundleFile): boolean {
    if (!this.#holds(path.split('/')[0] ?? '')) return false;
    const file = join(this.#dir, path);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile() || stat.size !== content.length) return true;
    return !equalBytes(readFileSync(file), content);
  }

  #holds(name: string): boolean {
    let holds = this.#folders.get(name);
    if (holds === undefined) {
      holds = statSync(join(this.#dir, name), { throwIfNoEntry: false }) !== undefined;
      this.#folders.set(name, holds);
    }
    return holds;
  }
}

function invalid(report: VerifyReport, path: string): VerifyReport {
  const nowhere = { log: null, index: null, topic: null, partition: null, offset: null, session: null };
  const firstFault = { code: 'file_differs', ...nowhere, detail: path } as const;
  return { ...report, verdict: 'invalid', exitCode: VERDICT_EXIT_CODES.invalid, firstFault };
}
