/**
 * The verifier: an evidence bundle in, a report out. No network, no clock, no store; the same code for a running
 * service, a data directory, an export file and a browser.
 *   header and signatures -> each log (chain, tree, streams, bytes, projections) -> heads -> verdict
 */
import { BundleRun } from './bundle-run.ts';
import type { EvidenceCrypto } from './bytes.ts';
import { readBundleParts } from './read-bundle.ts';
import { FaultFound, type VerifyReport } from './report.ts';
import type { VerifyOptions } from './verify-options.ts';

export type { KnownHead } from './log-settings.ts';
export type { VerifyReport } from './report.ts';
export type { VerifyOptions } from './verify-options.ts';

/** Verifies a bundle. Throws export_invalid when the stream does not begin as one; every other finding is in the report. */
export async function verifyBundle(
  source: AsyncIterable<Uint8Array>,
  crypto: EvidenceCrypto,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const run = new BundleRun(crypto, options);
  const { workers, sample, resume } = options;
  const ahead = workers === undefined ? undefined : { workers, sample, resume };
  try {
    for await (const lines of readBundleParts(source, ahead)) for (const line of lines) run.take(line);
    run.finish();
  } catch (error) {
    const found = error instanceof FaultFound ? error.fault : run.malformed(error);
    if (found === undefined) throw error;
    return run.report(found);
  }
  return run.report(null);
}
