/**
 * Runs the benchmarks one after another. `--json` prints one object a line; `--only NAME` (repeatable) takes those whose
 * name starts so. A new one: a file beside this that exports a Bench, and a line in BENCHES.
 */
import { parseArgs } from 'node:util';
import { Skipped, type Bench, type BenchResult } from './bench.ts';
import { eventToCosigned } from './cosigned.bench.ts';
import { disk } from './disk.bench.ts';
import { durableCluster, durableEmbedded } from './durable.bench.ts';
import { holdCall } from './hold.bench.ts';
import { ingestPost } from './ingest.bench.ts';
import { alertLatency } from './alert-latency.bench.ts';
import { gateCall } from './gate.bench.ts';
import { detectBench } from './detect.bench.ts';
import { appendSigned, proofBytes } from './ledger.bench.ts';
import { matchers } from './matcher.bench.ts';
import { matcherMemory } from './memory.bench.ts';
import { backtestBench } from './backtest.bench.ts';
import { labels } from './labels.bench.ts';
import { pack } from './pack.bench.ts';
import { recordPath } from './record-path.bench.ts';
import { redaction } from './redaction.bench.ts';
import { seal } from './seal.bench.ts';
import { killToRefused, tapCall } from './tap.bench.ts';
import { verifyBench } from './verify.bench.ts';

const detect: Bench = { name: 'detect', about: 'parsed events to findings, no I/O', run: detectBench };

const BENCHES: readonly Bench[] = [
  recordPath,
  seal,
  detect,
  ...matchers,
  matcherMemory,
  backtestBench,
  labels,
  redaction,
  pack,
  ingestPost,
  durableEmbedded,
  durableCluster,
  alertLatency,
  tapCall,
  gateCall,
  killToRefused,
  holdCall,
  verifyBench,
  disk,
  appendSigned,
  eventToCosigned,
  proofBytes,
];

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
});

const chosen = BENCHES.filter(
  ({ name }) => options.only.length === 0 || options.only.some((prefix) => name.startsWith(prefix)),
);

function print(line: BenchResult): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const number = (value: number | null): string => (value === null ? '-' : value.toLocaleString('en'));
  const cells = [
    line.name.padEnd(34),
    `${number(line.value)} ${line.unit}`.padStart(18),
    number(line.baseline).padStart(12),
    (line.ratio === null ? '-' : String(line.ratio)).padStart(8),
  ];
  process.stdout.write(`${cells.join('  ')}${line.note === undefined ? '' : `  ${line.note}`}\n`);
}

async function runAll(): Promise<void> {
  if (!options.json)
    process.stdout.write(`${'name'.padEnd(34)}  ${'value'.padStart(18)}      baseline     ratio\n`);
  for (const bench of chosen) {
    try {
      for (const line of await bench.run()) print(line);
    } catch (error) {
      if (!(error instanceof Skipped)) throw error;
      process.stderr.write(`SKIPPED ${bench.name}: ${error.message}\n`);
    }
  }
}

if (options.help || chosen.length === 0) {
  const list = BENCHES.map(({ name, about }) => `  ${name.padEnd(28)} ${about}`).join('\n');
  process.stdout.write(`bench [--json] [--only NAME]\n${list}\n`);
  process.exitCode = options.help ? 0 : 2;
} else await runAll();
