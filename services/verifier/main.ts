/**
 * The verifier as one file that needs Node and nothing else: no package, no network, no clock, no store. What it says of
 * a bundle, and its exit code, are those of `tripline verify --export`.
 *   node tripline-verify.mjs BUNDLE [--policy FILE] [--key FILE] [--checkpoint FILE] [--tsa FILE] [--jobs N] [--json]
 */
import { parseArgs } from 'node:util';
import { isMainThread, parentPort } from 'node:worker_threads';
import { isTriplineError, TriplineError } from '../../schemas/errors.ts';
import { VERDICT_EXIT_CODES } from '../evidence/report.ts';
import { reportText } from '../evidence/report-text.ts';
import { visible } from '../evidence/visible.ts';
import { verifyPath } from './folder.ts';
import { verifyRootCopy } from './root-copy.ts';
import { readTrust, type TrustFiles } from './sources.ts';
import { answerBlocks } from './worker.ts';
import { defaultJobs, MAX_JOBS, withWorkers } from './workers.ts';

const USAGE = `node tripline-verify.mjs BUNDLE [--policy FILE] [--key FILE] [--checkpoint FILE] [--tsa FILE] [--jobs N] [--json]

Checks an evidence bundle (a file, or the directory that \`tripline export\` wrote). Nothing is fetched.
  --root-log DIR     instead of a bundle: a copy of the root log alone; needs --policy or --key
  --policy FILE      C2SP tlog-policy: the logs and witnesses that you trust, and how many must vouch
  --key FILE         log.pub of the deployment, kept from elsewhere: heads of any other key are refused
  --checkpoint FILE  checkpoint of the root log, kept from earlier: what does not extend it diverges
  --tsa FILE         certificates, in PEM, of time stamp authorities or their issuers
  --agent-keys FILE  agent keys that count, whatever is registered: BASE64 NAME [revoked TIME], one a line
  --jobs N           threads that look into a binary bundle, 1 to ${MAX_JOBS}; without it as many as there are cores
  --json             the report as one line of JSON

Exit: 0 verified and witnessed, 10 verified, 20 incomplete, 30 diverges from a known head, 40 invalid; 1 failed, 2 usage.
`;
const FAILED = 1;
const USAGE_FAULT = 2;

interface Asked extends TrustFiles {
  /** Or a root log. */
  readonly bundle: string | undefined;
  readonly rootLog: string | undefined;
  readonly jobs: number;
  readonly json: boolean;
}

/** Undefined where help was asked for. Throws usage. */
function readArguments(args: readonly string[]): Asked | undefined {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const options = {
    'root-log': text,
    policy: text,
    key: text,
    checkpoint: text,
    tsa: text,
    'agent-keys': text,
    jobs: text,
    json: flag,
    help: flag,
  };
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (cause) {
    throw new TriplineError('usage', cause instanceof Error ? cause.message : 'unknown arguments', { cause });
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [bundle, ...more] = positionals;
  const rootLog = values['root-log'];
  if ((bundle === undefined) === (rootLog === undefined) || more.length > 0)
    throw new TriplineError('usage', 'name one bundle');
  const { policy: policyFile, key: keyFile, checkpoint: checkpointFile, tsa: tsaFile, json } = values;
  const agentKeysFile = values['agent-keys'];
  const jobs = readJobs(values.jobs);
  return { bundle, rootLog, policyFile, keyFile, checkpointFile, tsaFile, agentKeysFile, jobs, json };
}

function readJobs(text: string | undefined): number {
  if (text === undefined) return defaultJobs();
  const jobs = /^[1-9]$/.test(text) ? Number(text) : MAX_JOBS + 1;
  if (jobs <= MAX_JOBS) return jobs;
  throw new TriplineError('usage', `--jobs takes a number from 1 to ${MAX_JOBS}`);
}

async function run(args: readonly string[]): Promise<number> {
  const asked = readArguments(args);
  if (asked === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  const { bundle, rootLog, jobs } = asked;
  const trust = readTrust(asked);
  const script = new URL(import.meta.url);
  const report = await withWorkers({ jobs, script }, (workers) =>
    rootLog === undefined
      ? verifyPath(bundle ?? '', { ...trust, ...workers })
      : verifyRootCopy(rootLog, trust),
  );
  process.stdout.write(`${asked.json ? JSON.stringify(report) : reportText(report)}\n`);
  return VERDICT_EXIT_CODES[report.verdict];
}

const USAGE_CODES: readonly string[] = ['usage', 'policy_invalid', 'export_invalid'];

async function main(): Promise<void> {
  try {
    process.exitCode = await run(process.argv.slice(2));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${visible(text, 2000)}\n`);
    process.exitCode = isTriplineError(error) && USAGE_CODES.includes(error.code) ? USAGE_FAULT : FAILED;
  }
}

// One file holds both: the program, and the threads that it starts.
if (isMainThread) await main();
else if (parentPort !== null) answerBlocks(parentPort);
