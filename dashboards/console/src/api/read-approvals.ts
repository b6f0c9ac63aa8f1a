/** Answers of /v1/approvals → what the view shows. */
import { fieldsOf, inner, list, text, time, type Fields } from './fields.ts';
import type { Approval, ApprovalAnswer, Approvals } from './types.ts';

export function readApprovals(data: unknown): Approvals {
  const page = fieldsOf(data);
  const asker = inner(page, 'asker') ?? {};
  return {
    items: list(page, 'items').map(readApproval),
    hasMore: text(page, 'nextCursor') !== '',
    asker: { id: text(asker, 'id'), role: text(asker, 'role'), mayAnswer: asker['mayAnswer'] === true },
  };
}

function readApproval(data: unknown): Approval {
  const item = fieldsOf(data);
  return {
    id: text(item, 'id'),
    state: text(item, 'state'),
    tenant: text(item, 'tenant'),
    session: text(item, 'session'),
    agent: text(item, 'agent'),
    principal: text(item, 'principal'),
    host: text(item, 'host'),
    server: text(item, 'server'),
    tool: text(item, 'tool'),
    toolClass: text(item, 'class'),
    policy: policyText(inner(item, 'policy')),
    args: typeof item['args'] === 'string' ? item['args'] : null,
    argsHash: text(item, 'argsHash'),
    isAltered: item['argsAltered'] === true,
    isFourEyes: item['fourEyes'] === true,
    obstacle: text(item, 'obstacle'),
    requestedAt: time(item, 'requestedAt'),
    answerableUntil: time(item, 'answerableUntil'),
    eventId: text(item, 'eventId'),
    decision: readAnswer(inner(item, 'decision')),
  };
}

function policyText(policy: Fields | null): string {
  if (policy === null) return '';
  return `${text(policy, 'id')} version ${text(policy, 'version')}, ${text(policy, 'rule')}`;
}

function readAnswer(decision: Fields | null): ApprovalAnswer | null {
  if (decision === null) return null;
  return {
    verdict: text(decision, 'verdict'),
    by: text(decision, 'by'),
    reason: text(decision, 'reason'),
    issuedAt: time(decision, 'issuedAt'),
    expiresAt: time(decision, 'expiresAt'),
  };
}
