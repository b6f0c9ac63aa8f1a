/** A match and its calls as an explanation tells them. */
import type { CompiledRule } from '../compile/rule.ts';
import type { Match } from './finding.ts';
import type { ExplainedCall, ExplainedMatch } from './explanation.ts';
import { chainOf, type Entry, type Node } from './prefixes.ts';
import { settlesAtMs } from './state.ts';

export function explainedCall(step: string, entry: Entry): ExplainedCall {
  const { eventId, session, agent, tool, destHost } = entry.reference;
  return {
    step,
    eventId,
    timeMs: entry.timeMs,
    appendMs: entry.appendMs,
    session,
    agent,
    ...(tool === undefined ? {} : { tool }),
    ...(destHost === undefined ? {} : { destHost }),
  };
}

/** Calls of a prefix or assignment, by step. */
export function explainedChain(rule: CompiledRule, last: Node): ExplainedCall[] {
  return chainOf(last).map(({ step, entry }) => explainedCall(rule.steps[step]?.name ?? 'step', entry));
}

function gapsOf(rule: CompiledRule, nodes: readonly Node[]): ExplainedMatch['gaps'] {
  return nodes.flatMap((node, at) => {
    const step = rule.steps[node.step];
    const previous = nodes[at - 1];
    if (step === undefined || previous === undefined || !Number.isFinite(step.gapMs)) return [];
    return [{ step: step.name, usedMs: node.lastMs - previous.lastMs, withinMs: step.gapMs }];
  });
}

/** `pendingWaitMs`: how long it waits for late events where that is not over; null where it is decided. */
export function explainedMatch(
  match: Match,
  { told, pendingWaitMs }: { readonly told: boolean; readonly pendingWaitMs: number | null },
): ExplainedMatch {
  const { rule, completed, exception } = match;
  const nodes = chainOf(completed.last);
  const settles = nodes.flatMap(({ step, entry }) => {
    const own = rule.steps[step];
    return own === undefined || pendingWaitMs === null ? [] : [settlesAtMs(entry, own, pendingWaitMs)];
  });
  return {
    calls: explainedChain(rule, completed.last),
    timeBasis: completed.timeBasis,
    spanMs: completed.last.lastMs - completed.last.startMs,
    withinMs: rule.body !== 'any_of' && rule.steps.length > 1 ? rule.withinMs : null,
    gaps: rule.body === 'any_of' ? [] : gapsOf(rule, nodes),
    told,
    decidedAtMs: settles.length === 0 ? null : Math.max(...settles),
    ...(exception === undefined ? {} : { exception }),
    ...(completed.measured === undefined ? {} : { measured: completed.measured }),
  };
}
