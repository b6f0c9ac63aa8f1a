/**
 * What waiting for a verdict adds to a call: calls of a held class through one tap, beside the same calls through another
 * tap that holds nothing, in turn, before the real service with all rules. The budget is long, so that none is cut off.
 */
import { tapEnvironment, workplace } from '../support/mcp/host.ts';
import { Service } from '../support/mcp/service.ts';
import { quantile, result, type Bench, type BenchResult } from './bench.ts';
import { assertCompiled, connect, SERVER, TAP, timeCalls } from './tap.bench.ts';

const WARM_UP_CALLS = 100;
const ROUNDS = 20;
const CALLS_PER_ROUND = 25;
/** The default of TRIPLINE_HOLD_BUDGET_MS. */
const DEFAULT_BUDGET_MS = 50;

async function run(): Promise<readonly BenchResult[]> {
  assertCompiled();
  const place = workplace();
  const service = new Service(place.dataDir);
  await service.start();
  const args = [TAP, 'tap', '--server', 'calls', '--', ...SERVER];
  const hold = {
    TRIPLINE_HOLD: 'other',
    TRIPLINE_HOLD_BUDGET_MS: '5000',
    TRIPLINE_HOLD_ON_TIMEOUT: 'closed',
  };
  const held = await connect(args, tapEnvironment({ place, env: hold }));
  const free = await connect(args, tapEnvironment({ place }));
  const sample = { held: [] as number[], free: [] as number[] };
  try {
    await timeCalls(free, WARM_UP_CALLS);
    await timeCalls(held, WARM_UP_CALLS);
    for (let round = 0; round < ROUNDS; round++) {
      sample.free.push(...(await timeCalls(free, CALLS_PER_ROUND)));
      sample.held.push(...(await timeCalls(held, CALLS_PER_ROUND)));
    }
  } finally {
    await Promise.all([held.client.close(), free.client.close()]);
    await service.stop();
    place.remove();
  }
  const over = sample.held.filter((ms) => ms > DEFAULT_BUDGET_MS).length;
  const note = `baseline: a call that is not held; ${over} of ${sample.held.length} took longer than ${DEFAULT_BUDGET_MS} ms`;
  return [0.5, 0.99].map((q) =>
    result(
      `hold_call_p${q * 100}`,
      { value: quantile(sample.held, q), baseline: quantile(sample.free, q), unit: 'ms' },
      note,
    ),
  );
}

export const holdCall: Bench = {
  name: 'hold_call',
  about: 'what waiting for the verdict of detection adds to a call',
  run,
};
