/**
 * Drift of a categorical value (say, the mix of tool classes): a change detector on how surprising each value is to the
 * key's own past. Only a rise counts: the key does what it seldom or never did. (Doing one usual thing only makes values
 * less surprising; `rate` and `distinct` see that.) A sample is scored before it is learned; the first `warmup` samples
 * are only learned. Samples are taken as they arrive. After a change was told the detector starts anew, and what was new
 * is learned like all else: a signal for sequences rather than an alert of its own, since detectors of this kind are
 * often late or wrong (arXiv 2211.13098).
 */
import { adwin, newAdwin, type Adwin } from './adwin.ts';
import { cusum, newCusum, type Cusum } from './cusum.ts';
import { newPageHinkley, pageHinkley, type PageHinkley } from './page-hinkley.ts';
import { MAX_EVIDENCE, type DriftPlan } from './plan.ts';
import { firedOnce, nothing, type Sample, type StatisticOutcome } from './sample.ts';
import { entropyBits, learn, newFrequencies, surprisalBits, type Frequencies } from './surprisal.ts';

/** Surprisal is cut here, and divided by it for ADWIN, whose bound holds for values in [0, 1]. */
const MAX_SURPRISAL_BITS = 16;
/** Values that Page-Hinkley needs for a mean of its own. */
const LEAST_VALUES = 30;

export type Detector =
  | ({ readonly method: 'page_hinkley' } & PageHinkley)
  | ({ readonly method: 'cusum' } & Cusum)
  | ({ readonly method: 'adwin' } & Adwin);

export interface DriftState<T> {
  readonly family: 'drift';
  readonly frequencies: Frequencies;
  readonly detector: Detector;
  /** Newest samples, oldest first. */
  readonly recent: T[];
}

export function newDetector(method: DriftPlan['method']): Detector {
  switch (method) {
    case 'page_hinkley':
      return { method, ...newPageHinkley() };
    case 'cusum':
      return { method, ...newCusum() };
    case 'adwin':
      return { method, ...newAdwin() };
  }
}

export function newDriftState<T>(plan: DriftPlan): DriftState<T> {
  return { family: 'drift', frequencies: newFrequencies(), detector: newDetector(plan.method), recent: [] };
}

function detect(plan: DriftPlan, state: DriftState<unknown>, bits: number): number | undefined {
  const { detector, frequencies } = state;
  const { delta, lambda } = plan;
  switch (detector.method) {
    case 'page_hinkley':
      return pageHinkley(detector, bits, { delta, lambda, minCount: LEAST_VALUES });
    case 'cusum':
      // The mean in control is known: it is what the learned frequencies would give.
      return cusum(detector, bits, { mean: entropyBits(frequencies), delta, lambda });
    case 'adwin': {
      const rise = adwin(detector, bits / MAX_SURPRISAL_BITS, delta);
      return rise === undefined ? undefined : rise * MAX_SURPRISAL_BITS;
    }
  }
}

/** `measured`: the test statistic in bits; for ADWIN the rise of the mean. */
export function applyDrift<T>(plan: DriftPlan, state: DriftState<T>, sample: Sample<T>): StatisticOutcome<T> {
  const { value, tag } = sample;
  if (value === null) return nothing();
  const { frequencies, recent } = state;
  recent.push(tag);
  if (recent.length > MAX_EVIDENCE) recent.shift();
  const isTaught = frequencies.total >= plan.warmup;
  const bits = Math.min(MAX_SURPRISAL_BITS, surprisalBits(frequencies, value));
  const measured = isTaught ? detect(plan, state, bits) : undefined;
  learn(frequencies, value);
  return measured === undefined ? nothing() : firedOnce(recent, tag, measured);
}
