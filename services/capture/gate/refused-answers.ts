/** Answers of a server that go no further: pure, the server chooses all of them. */
import type { UpstreamAnswer } from './wire/upstream-answer.ts';

type Answered = Pick<UpstreamAnswer, 'headers' | 'status'>;

const EVENTS = 'text/event-stream';
/** By headers, which are one object where a server says the same, its status too. */
const known = new WeakMap<Answered['headers'], boolean>();

/** True for an answer that would lead past the gate, or that its client might read otherwise than the gate does. */
export function mustNotPass({ headers, status }: Answered): boolean {
  const before = known.get(headers);
  if (before !== undefined) return before;
  const must = leadsElsewhere(status) || isEncoded(headers) || hasTwoReadings(headers['content-type'] ?? '');
  known.set(headers, must);
  return must;
}

/** A client would follow a redirect. */
const leadsElsewhere = (status: number): boolean => status >= 300 && status < 400 && status !== 304;

/** It cannot be looked at. */
function isEncoded(headers: Answered['headers']): boolean {
  const encoding = headers['content-encoding'];
  return encoding !== undefined && encoding.toLowerCase() !== 'identity';
}

/**
 * Several types, or one that names another: clients look for `text/event-stream` or `json` anywhere in the text, in this
 * order or that one, and a body that is read as events by the one is no message at all to the other.
 */
function hasTwoReadings(type: string): boolean {
  const text = type.trim().toLowerCase();
  const events = text.indexOf(EVENTS);
  if (text.includes(',')) return true;
  return events > 0 || (events === 0 && text.includes('json'));
}
