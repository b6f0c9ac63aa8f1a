/**
 * How good a version of a rule is, by what people said of the alerts that it told live. Pure.
 *
 * Precision = true / (true + false). A benign true positive counts as true: the rule saw what it describes, and whether
 * that is allowed is for an exception to say. Undetermined ones count as neither. An alert under an exception pages
 * nobody, so it counts as not raised.
 *
 * The id of an alert holds the hash of its rule, so a changed rule gives other ids for the chains that it still finds.
 * What joins the versions is the finding: alerts of one rule that the same call completes are one.
 */
import { z } from 'zod';
import { DISPOSITIONS, type Disposition } from '../../schemas/alert/disposition.ts';
import type { AlertBody } from '../../schemas/alert/v1.ts';

const zPosition = z.object({ partition: z.number(), offset: z.number(), line: z.number() });
/** Where a call stands in topic toolcalls: unlike its event id, of one tenant only. */
export type Position = z.infer<typeof zPosition>;

/** What is read of an item of GET /v1/alerts. */
export const zLiveAlert = z.object({
  id: z.string(),
  calls: z.array(zPosition).min(1),
  disposition: z.object({ value: z.enum(DISPOSITIONS), time: z.string() }).nullish(),
});
export type LiveAlert = z.infer<typeof zLiveAlert>;

export interface RulePrecision {
  /** Findings of the tested version by their disposition; none: not told live, or nobody said anything yet. */
  readonly dispositions: Readonly<Record<Disposition | 'none', number>>;
  readonly true: number;
  readonly false: number;
  /** From 0 to 1; null where no finding is true or false. */
  readonly precision: number | null;
  /** Findings that are true, whose calls were all read, and that the tested version does not raise. */
  readonly lost: number;
}

const positionText = ({ partition, offset, line }: Position): string => `${partition}/${offset}/${line}`;

function findingOf({ calls }: { readonly calls: readonly Position[] }): string {
  const completing = calls.at(-1);
  return completing === undefined ? '' : positionText(completing);
}

const isTrue = (value: Disposition): boolean => value === 'true_positive' || value === 'benign_true_positive';

/** Offsets, both inclusive. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Which calls of true alerts a run has read: what it was not given, the tested version cannot have lost. */
export class CitedCalls {
  readonly #offsets = new Set<number>();
  readonly #read = new Set<string>();
  readonly #spans = new Map<number, Span>();

  constructor(live: readonly LiveAlert[]) {
    for (const { calls, disposition } of live)
      if (disposition && isTrue(disposition.value)) for (const call of calls) this.#offsets.add(call.offset);
  }

  /** For every line of the run: most are told apart by their offset alone. */
  see(line: Position): void {
    if (this.#offsets.has(line.offset)) this.#read.add(positionText(line));
  }

  /** All between these offsets of a partition was looked through, though only calls that count were read. */
  seeAll(partition: number, span: Span): void {
    this.#spans.set(partition, span);
  }

  haveAll(calls: readonly Position[]): boolean {
    return calls.every((call) => this.#isInSpan(call) || this.#read.has(positionText(call)));
  }

  #isInSpan({ partition, offset }: Position): boolean {
    const span = this.#spans.get(partition);
    return span !== undefined && offset >= span.from && offset <= span.to;
  }
}

/** Findings that somebody gave a disposition, with the latest one: versions of the rule may have told the same finding. */
function dispositioned(live: readonly LiveAlert[]): ReadonlyMap<string, LiveAlert> {
  const latest = new Map<string, LiveAlert>();
  for (const alert of live) {
    if (!alert.disposition) continue;
    const known = latest.get(findingOf(alert))?.disposition;
    if (!known || Date.parse(known.time) <= Date.parse(alert.disposition.time))
      latest.set(findingOf(alert), alert);
  }
  return latest;
}

/** `wouldBe`: alerts of the tested version; `live`: alerts of the same rule, of whatever version, as they were told. */
export function rulePrecision(
  wouldBe: readonly AlertBody[],
  live: readonly LiveAlert[],
  cited: CitedCalls,
): RulePrecision {
  const raised = new Set(wouldBe.filter(({ exception }) => exception === undefined).map(findingOf));
  const counts = { true_positive: 0, benign_true_positive: 0, false_positive: 0, undetermined: 0 };
  let lost = 0;
  for (const [finding, { calls, disposition }] of dispositioned(live)) {
    if (!disposition) continue;
    if (raised.has(finding)) counts[disposition.value] += 1;
    else if (isTrue(disposition.value) && cited.haveAll(calls)) lost += 1;
  }
  const said = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const trueCount = counts.true_positive + counts.benign_true_positive;
  const falseCount = counts.false_positive;
  return {
    dispositions: { ...counts, none: raised.size - said },
    true: trueCount,
    false: falseCount,
    precision: trueCount + falseCount === 0 ? null : trueCount / (trueCount + falseCount),
    lost,
  };
}

/** For people: `precision 0.75: 3 true (1 of them benign), 1 false; …`. */
export function precisionText(found: RulePrecision): string {
  const { dispositions, precision, lost } = found;
  const head =
    precision === null
      ? 'precision unknown: no alert was found to be true or false'
      : `precision ${precision.toFixed(2)}: ${found.true} true (${dispositions.benign_true_positive} of them benign), ${found.false} false`;
  return (
    `${head}; ${dispositions.undetermined} undetermined, ${dispositions.none} without disposition; ` +
    `${lost} true ${lost === 1 ? 'alert is' : 'alerts are'} lost by this version`
  );
}
