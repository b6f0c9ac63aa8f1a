/** Words of peers and models in fields of an event: error messages, addresses, names, a rationale. No path leads to them. */
import type { KnownValue, KnownValues } from './known-values.ts';
import { redactText, type RedactedPlace, type RedactionContext } from './redact.ts';

/** What capture itself makes, and names that the operator gave. */
const OWN: ReadonlySet<string> = new Set([
  'callId',
  'logicalCallId',
  'decisionId',
  'traceId',
  'spanId',
  'parentSpanId',
  'server',
  'transport',
  'class',
  'labels',
  'sensitive',
  'trust',
  'outcome',
  'verdict',
  'controlId',
  'approvalId',
  'policy',
  'hold',
  'delivered',
  'certificate',
  'redaction',
  'time',
]);
/** A field that grows stays below every limit of the event schema. */
const SAFE_LENGTH = 200;
const MAX_DEPTH = 16;
const MAX_AT = 200;

class FieldRedactor {
  readonly places: RedactedPlace[] = [];
  readonly #context: RedactionContext;
  readonly #own: KnownValues;

  constructor(context: RedactionContext, own: KnownValues) {
    this.#context = context;
    this.#own = own;
  }

  value(value: unknown, at: string, depth: number): unknown {
    if (typeof value === 'string') return this.#text(value, at);
    if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value;
    if (Array.isArray(value))
      return value.map((item, index) => this.value(item, `${at}.${index}`, depth + 1));
    return this.members(value, at, depth);
  }

  members(value: object, at: string, depth: number): Record<string, unknown> {
    const changed: Record<string, unknown> = {};
    for (const [name, member] of Object.entries(value)) {
      const isOwn = depth === 0 ? OWN.has(name) : name === 'id' && at === 'decision';
      const under = depth === 0 ? name : `${at}.${name}`;
      changed[name] = isOwn || name.endsWith('Hash') ? member : this.value(member, under, depth + 1);
    }
    return changed;
  }

  #text(text: string, at: string): string {
    const redacted = redactText(text, this.#context);
    // What there was no work left for is not shown.
    if (redacted === undefined) return '';
    if (redacted.places.length === 0) return text;
    for (const place of redacted.places) this.places.push({ at: at.slice(0, MAX_AT), ...place });
    for (const { value, digest, by } of redacted.values) this.#own.remember(value, digest, by);
    return redacted.text.slice(0, Math.max(text.length, SAFE_LENGTH));
  }
}

export interface RedactedFields {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly places: readonly RedactedPlace[];
  readonly own: readonly KnownValue[];
}

/** The fields with what rules and the session know of replaced; the very same where there is nothing. */
export function redactFields(
  fields: Readonly<Record<string, unknown>>,
  context: RedactionContext,
  own: KnownValues,
): RedactedFields {
  const redactor = new FieldRedactor({ ...context, selected: { ...context.selected, paths: [] } }, own);
  const changed = redactor.members(fields, '', 0);
  const { places } = redactor;
  return { fields: places.length === 0 ? fields : withoutTold(changed), places, own: own.values };
}

/** The hash of a rationale that is not told in full says what was in it. */
function withoutTold(fields: Record<string, unknown>): Record<string, unknown> {
  const { decision } = fields;
  if (typeof decision !== 'object' || decision === null) return fields;
  const { rationaleHash: _told, ...rest } = decision as Record<string, unknown>;
  return { ...fields, decision: rest };
}
