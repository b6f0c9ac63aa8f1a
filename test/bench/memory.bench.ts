/**
 * Memory of the matcher over time: 100 three-step rules, 20,000 keys, as many events as there is time for. After a warm-up
 * it must stand still: the slope of a line through the samples of the second half. MATCHER_MEMORY_SECONDS=600 runs ten
 * minutes; MATCHER_MEMORY_LOG=1 prints each sample.
 */
import { linearRegression } from 'simple-statistics';
import { Engine } from '../../detectors/engine/engine.ts';
import { quantile, result, type Bench, type BenchResult } from './bench.ts';
import { BUDGET, compiledRules, eventsOf, runEngine, workload } from './matcher-workload.ts';

const SECONDS = Number(process.env['MATCHER_MEMORY_SECONDS'] ?? 20);
const SAMPLES = 60;
const EVENTS_PER_ROUND = 50_000;
const KEYS = 20_000;
const RULES = 100;

interface Sample {
  readonly minutes: number;
  readonly rss: number;
  readonly heap: number;
  /** Typed arrays. */
  readonly arrays: number;
}

const MB = 1024 * 1024;

function sampleAt(minutes: number): Sample {
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { minutes, rss: rss / MB, heap: heapUsed / MB, arrays: arrayBuffers / MB };
}

function runFor(seconds: number): { readonly samples: readonly Sample[]; readonly events: number } {
  const load = workload(RULES, KEYS, EVENTS_PER_ROUND);
  const engine = new Engine(compiledRules(load.rules), BUDGET);
  const events = eventsOf(load);
  const samples: Sample[] = [];
  const startMs = performance.now();
  let rounds = 0;
  for (let minutes = 0; minutes * 60 < seconds; minutes = (performance.now() - startMs) / 60_000) {
    if (minutes * 60 >= (samples.length * seconds) / SAMPLES) {
      const sample = sampleAt(minutes);
      samples.push(sample);
      if (process.env['MATCHER_MEMORY_LOG'] === '1')
        process.stderr.write(`${JSON.stringify({ ...sample, rounds })}\n`);
    }
    runEngine(engine, events, rounds * EVENTS_PER_ROUND);
    rounds += 1;
  }
  return { samples, events: rounds * EVENTS_PER_ROUND };
}

async function memoryBench(): Promise<readonly BenchResult[]> {
  const { samples, events } = runFor(SECONDS);
  const half = samples.slice(Math.floor(samples.length / 2));
  const row = (name: 'rss' | 'heap' | 'arrays', what: string): BenchResult[] => {
    const held = half.map((sample) => sample[name]);
    const slope = linearRegression(half.map((sample) => [sample.minutes, sample[name]])).m;
    const note = `${what}; ${events} events in ${SECONDS} s, median beside its slope (MB a minute) of the second half`;
    return [
      result(`matcher_memory_${name}`, { value: quantile(held, 0.5), baseline: null, unit: 'MB' }, note),
      result(`matcher_memory_${name}_slope`, { value: slope, baseline: null, unit: 'MB/min' }),
    ];
  };
  return Promise.resolve([
    ...row('rss', 'resident'),
    ...row('heap', 'heap, garbage included'),
    ...row('arrays', 'typed arrays'),
  ]);
}

export const matcherMemory: Bench = {
  name: 'matcher_memory',
  about: 'memory of the matcher over time, keys bounded',
  run: memoryBench,
};
