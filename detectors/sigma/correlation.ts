/** A Sigma correlation rule (specification 2.1) → sequences, sets and statistics of ours. */
import { durationMs, MAX_DURATION_MS } from '../../schemas/rule/v1.ts';
import type { SelectionMap } from './detection.ts';
import type { CorrelationRule } from './document.ts';
import { selectionObject, type RuleObject } from './event-rule.ts';
import { keyOfGroup } from './group.ts';
import { wordOf, metadataOf } from './metadata.ts';
import { refuse } from './refusal.ts';
import { isStatistic, statisticOf } from './statistic.ts';
import { combinationsOf } from './temporal.ts';

/** A rule that a correlation refers to. */
export interface Member {
  /** As the correlation calls it. */
  readonly reference: string;
  /** Name and id of the rule: aliases and conditions may use either. */
  readonly names: readonly string[];
  readonly selections: readonly SelectionMap[];
  /** Its events are alerts of a correlation: they carry little of the calls behind them. */
  readonly isAlert: boolean;
}
/** A member with the name of its selection in our rule. */
export interface NamedMember extends Member {
  readonly word: string;
}

const at = ['correlation'];
const MAX_ALTERNATIVES = 64;
/** A set's lattice of subsets bounds its members, a sequence its steps (schemas/rule/v1.ts). */
const MAX_MEMBERS: Readonly<Record<string, number>> = { temporal: 6, temporal_ordered: 16 };

/** `90m` of Sigma is `90m` of ours; weeks are written in days. */
function withinOf(timespan: string): string {
  const place = [...at, 'timespan'];
  const parts = /^(\d{1,6})([smhdw])$/.exec(timespan);
  if (parts === null) return refuse(place, `${timespan} is no number with s, m, h, d or w`);
  const within = parts[2] === 'w' ? `${Number(parts[1]) * 7}d` : timespan;
  const ms = durationMs(within) ?? 0;
  if (ms === 0 || ms > MAX_DURATION_MS) refuse(place, 'must be more than nothing and at most 90 days');
  return within;
}

function named(members: readonly Member[]): NamedMember[] {
  const taken = new Set<string>();
  return members.map((member) => {
    const word = wordOf(member.names[0] ?? member.reference, taken);
    taken.add(word);
    return { ...member, word };
  });
}

/** The rules of a correlation: one, or one for every combination of rules that satisfies it. */
export function correlationObjects(rule: CorrelationRule, members: readonly Member[]): RuleObject[] {
  const { type } = rule.correlation;
  const metadata = metadataOf(rule);
  const within = withinOf(rule.correlation.timespan);
  if (isStatistic(type)) return [{ ...metadata, ...statisticBody(rule, named(members), within) }];
  const most = MAX_MEMBERS[type];
  if (most === undefined) return refuse([...at, 'type'], `there is no correlation ${type} in Sigma 2.1`);
  const bodies = combinationsOf(rule, named(members)).map((chosen) => {
    if (chosen.length > most) refuse([...at, 'rules'], `${type} takes at most ${most} rules here`);
    return sequenceBody(rule, chosen, within);
  });
  if (bodies.length === 1) return bodies.map((body) => ({ ...metadata, ...body }));
  return bodies.map((body, index) => ({ ...metadata, id: `${metadata.id}.${index + 1}`, ...body }));
}

function sequenceBody(rule: CorrelationRule, chosen: readonly NamedMember[], within: string): RuleObject {
  const words = chosen.map(({ word }) => word);
  const isSet = rule.correlation.type === 'temporal' && words.length > 1;
  return {
    key: keyOfGroup(rule.correlation, chosen),
    events: Object.fromEntries(chosen.map(({ word, selections }) => [word, selectionObject(selections)])),
    ...(isSet ? { all_of: words } : { sequence: words }),
    ...(words.length > 1 ? { within } : {}),
  };
}

/** Statistics count the events of all rules together. */
function statisticBody(rule: CorrelationRule, members: readonly NamedMember[], within: string): RuleObject {
  const selections = members.flatMap((member) => member.selections);
  if (selections.length > MAX_ALTERNATIVES)
    refuse([...at, 'rules'], `have more than ${MAX_ALTERNATIVES} alternatives in all`);
  const [first] = members;
  const word = members.length === 1 && first !== undefined ? first.word : 'events';
  const isAlert = members.some((member) => member.isAlert);
  const union: NamedMember = { reference: word, names: [word], word, selections, isAlert };
  return {
    key: keyOfGroup(rule.correlation, [union], members),
    events: { [word]: selectionObject(selections) },
    any_of: [statisticOf(rule.correlation, union, within)],
  };
}
