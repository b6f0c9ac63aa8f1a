/** What an alert carries of the call that completed it (detectors/engine/alert-call.ts). */
import type { Member } from './correlation.ts';
import { refuse, type Place } from './refusal.ts';

const CARRIED: ReadonlySet<string> = new Set([
  'session',
  'session_id',
  'agent',
  'agent_id',
  'server',
  'tool.name',
]);

/** The field; refuses one that alerts do not have: a rule over it would load and never fire. */
export function checkCarried(field: string, member: Member, at: Place): string {
  if (member.isAlert && !CARRIED.has(field))
    return refuse(at, `alerts of ${member.reference} carry ${[...CARRIED].join(', ')}, not ${field}`);
  return field;
}
