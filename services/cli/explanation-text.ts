/** An explanation for people. Names come from events: each is made visible. */
import { durationWords } from '../../detectors/compile/words.ts';
import type {
  ExplainedCall,
  ExplainedKey,
  ExplainedMatch,
  ExplainedNext,
  ExplainedPartial,
  Explanation,
} from '../../detectors/engine/explanation.ts';
import { visible } from './output.ts';

const MAX_KEYS = 100;

/** Times of an event may be anything; those out of Date's range are shown as numbers. */
function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}

function callText(call: ExplainedCall): string {
  const host = call.destHost === undefined ? '' : ` to ${visible(call.destHost, 80)}`;
  const tool = call.tool === undefined ? '' : `  ${visible(call.tool, 60)}${host}`;
  return `${call.step}  ${timeText(call.timeMs)}${tool}  session ${visible(call.session, 60)}  ${call.eventId}`;
}

function outcomeText(match: ExplainedMatch): string {
  if (match.decidedAtMs !== null) return 'HOLDS so far, not decided yet:';
  if (match.exception !== undefined)
    return `FIRED in mode shadow (exception ${visible(match.exception, 80)})`;
  return match.told ? 'FIRED' : 'HELD, not told: after_match';
}

function matchLines(match: ExplainedMatch): string[] {
  const window =
    match.withinMs === null
      ? ''
      : `, ${durationWords(match.spanMs)} of ${durationWords(match.withinMs)} used`;
  const measured = match.measured === undefined ? '' : `, measured ${match.measured}`;
  const pending =
    match.decidedAtMs === null ? '' : `, fires when the watermark reaches ${timeText(match.decidedAtMs)}`;
  return [
    `  ${outcomeText(match)} by ${match.timeBasis} time${window}${measured}${pending}`,
    ...match.calls.map((call) => `    ${callText(call)}`),
    ...match.gaps.map(
      ({ step, usedMs, withinMs }) =>
        `    ${step}: ${durationWords(usedMs)} of ${durationWords(withinMs)} since the call before`,
    ),
  ];
}

function nextLines(next: ExplainedNext, label: string): string[] {
  const conditions = next.conditions.map((all) => all.join(', and '));
  const optional = next.optional ? ' (optional)' : '';
  return [
    `    ${label} ${next.step}${optional} until ${timeText(next.untilMs)}`,
    ...conditions.map((words, index) => `      ${index === 0 ? 'where' : '   or'} ${visible(words, 500)}`),
    ...next.joins.map((words) => `      and ${visible(words, 200)}`),
  ];
}

function partialLines(partial: ExplainedPartial): string[] {
  const { met, state, killedBy } = partial;
  const head = {
    open: `  OPEN after ${met.length} by ${partial.timeBasis} time`,
    window_passed: `  ENDED after ${met.length} by ${partial.timeBasis} time: its window passed at ${timeText(partial.untilMs)}`,
    killed: `  KILLED after ${met.length}`,
  }[state];
  const guard =
    killedBy === undefined ? [] : [`    by the guard "${killedBy.guard}": ${callText(killedBy.call)}`];
  const label = state === 'open' ? 'waits for' : 'waited for';
  return [
    head,
    ...met.map((call) => `    ${callText(call)}`),
    ...guard,
    ...partial.waitsFor.flatMap((next) => nextLines(next, label)),
  ];
}

function keyLines(key: ExplainedKey): string[] {
  const names = Object.entries(key.key).map(([name, value]) => `${name} ${visible(value, 100)}`);
  const measures = key.measures.map(({ measure, reads, against, samples, needs }) => {
    const value = reads === null ? 'says nothing yet' : `reads ${Number(reads.toFixed(4))}`;
    const few = samples < needs ? ` of ${needs} that it needs` : '';
    return `  ${measure} ${value}, must be ${against.join(' and ')} (${samples} samples${few})`;
  });
  const refused = key.refused.map(
    ({ call, detail }) => `  DID NOT COUNT ${callText(call)}\n    ${visible(detail, 300)}`,
  );
  return [
    `key ${names.length === 0 ? 'of the whole tenant' : names.join(', ')} (tenant ${visible(key.tenant, 60)})`,
    ...key.matches.flatMap(matchLines),
    ...key.partials.flatMap(partialLines),
    ...measures,
    ...refused,
  ];
}

export function explanationText(explanation: Explanation): string {
  const { rule, scope, events, nowMs, selections, keys } = explanation;
  const now = nowMs === null ? '' : `, now ${timeText(nowMs)}`;
  const rest = keys.length > MAX_KEYS ? [`and ${keys.length - MAX_KEYS} more keys; see --json`] : [];
  return [
    `${rule} (scope ${scope}) over ${events} events${now}`,
    `  events that fit: ${selections.map(({ name, events: fit }) => `${name} ${fit}`).join(', ')}`,
    ...(keys.length === 0 ? ['no event fits a step or guard of the rule with its key'] : []),
    // Those that fired first.
    ...keys
      .toSorted((a, b) => b.matches.length - a.matches.length)
      .slice(0, MAX_KEYS)
      .flatMap(keyLines),
    ...rest,
  ].join('\n');
}
