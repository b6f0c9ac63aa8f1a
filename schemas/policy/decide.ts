/**
 * What a policy says of a call: pure, so that a host's refusal, `policy test` and a test are one function. All names of a call
 * are attacker-controlled: they are held against patterns in linear space and never interpreted.
 */
import type { ApprovalLine, Policy, PolicyLine, PolicyList } from './v1.ts';

/** What lines are held against. */
export interface PolicySubject {
  readonly agent: string;
  readonly environment?: string | undefined;
  readonly task?: string | undefined;
  readonly server?: string | undefined;
  readonly tool: string;
  readonly class: string;
}

export interface PolicyQuestion extends PolicySubject {
  /** A tool call, or a read of another method. Nobody approves reads: a line that asks for it refuses them. */
  readonly kind: 'call' | 'read';
  /** The message names a key twice: whoever answers may read another call than we do. */
  readonly ambiguous: boolean;
  /** Labels of the values in the call; asked only where a line names labels. */
  readonly labels: () => readonly string[];
}

export type PolicyDecision =
  | { readonly effect: 'allow'; readonly rule: string }
  | { readonly effect: 'refuse'; readonly rule: string; readonly reason: string }
  | { readonly effect: 'approve'; readonly rule: string; readonly line: ApprovalLine };

/** `*` stands for any characters. At most pattern × text steps, both at most 256 characters. */
export function matchesPattern(pattern: string, text: string): boolean {
  let at = 0;
  let inText = 0;
  let star = -1;
  let resume = 0;
  while (inText < text.length) {
    if (pattern[at] === '*') {
      star = at++;
      resume = inText;
    } else if (at < pattern.length && pattern[at] === text[inText]) {
      at++;
      inText++;
    } else if (star >= 0) {
      at = star + 1;
      inText = ++resume;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}

function holds(patterns: readonly string[] | undefined, text: string | undefined): boolean {
  if (patterns === undefined) return true;
  return text !== undefined && patterns.some((pattern) => matchesPattern(pattern, text));
}

/** True where every list that the line names has a match. */
export function coversSubject(line: PolicyLine, subject: PolicySubject): boolean {
  return (
    (line.classes === undefined || line.classes.some((one) => one === subject.class)) &&
    holds(line.tools, subject.tool) &&
    holds(line.servers, subject.server) &&
    holds(line.agents, subject.agent) &&
    holds(line.environments, subject.environment) &&
    holds(line.tasks, subject.task)
  );
}

/** Name of a line on record. */
export function ruleOf(list: PolicyList, line: Pick<PolicyLine, 'id'>): string {
  return `${list}/${line.id}`;
}

/** No line of `allow` covers it. */
export const DEFAULT_RULE = 'default';
export const AMBIGUOUS_RULE = 'ambiguous';

function refuse(rule: string, reason: string): PolicyDecision {
  return { effect: 'refuse', rule, reason };
}

/** The rule by which a tool is hidden; undefined where it is shown. */
export function hiddenBy(policy: Policy, subject: PolicySubject): string | undefined {
  const line = policy.hide.find((one) => coversSubject(one, subject));
  if (line !== undefined) return ruleOf('hide', line);
  if (!policy.hideUnallowed || policy.allow.some((one) => coversSubject(one, subject))) return undefined;
  return DEFAULT_RULE;
}

/** Decides about one call, whatever the mode. What is refused by several lines names the first of: hide, deny, default. */
export function decidePolicy(policy: Policy, question: PolicyQuestion): PolicyDecision {
  if (question.ambiguous) return refuse(AMBIGUOUS_RULE, 'Two readers could read the message differently.');
  const hide = policy.hide.find((line) => coversSubject(line, question));
  if (hide !== undefined) return refuse(ruleOf('hide', hide), 'The tool is not offered here.');
  const deny = policy.deny.find((line) => coversSubject(line, question) && hasLabel(line.labels, question));
  if (deny !== undefined) return refuse(ruleOf('deny', deny), deny.reason ?? 'The policy denies it.');
  const allow = policy.allow.find((line) => coversSubject(line, question));
  if (allow === undefined) return refuse(DEFAULT_RULE, 'No line of the policy allows it.');
  const approval = policy.approvals.find((line) => coversSubject(line, question));
  if (approval === undefined) return { effect: 'allow', rule: ruleOf('allow', allow) };
  const rule = ruleOf('approvals', approval);
  if (question.kind === 'read') return refuse(rule, 'Only tool calls can be approved.');
  return { effect: 'approve', rule, line: approval };
}

/** A host has not looked at all of the values: what it has not seen may have any label. */
const UNCHECKED = 'secrets_unchecked';

function hasLabel(labels: readonly string[] | undefined, question: PolicyQuestion): boolean {
  if (labels === undefined) return true;
  const own = question.labels();
  return own.includes(UNCHECKED) || labels.some((label) => own.includes(label));
}
