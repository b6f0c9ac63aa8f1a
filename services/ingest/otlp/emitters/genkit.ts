/** Genkit: actions of subtype `tool`. */
import { bodyAt, textAt } from '../attributes.ts';
import { belongingOf } from '../belonging.ts';
import type { OtlpSpan } from '../model.ts';
import { errorOf, outcomeOf } from '../outcome.ts';
import type { ToolCall } from '../tool-call.ts';

export function genkitCall(span: OtlpSpan): ToolCall | undefined {
  const { attributes } = span;
  if (attributes.get('genkit:metadata:subtype') !== 'tool') return undefined;
  const result = bodyAt(attributes, 'genkit:output');
  const failed = attributes.get('genkit:state') === 'error';
  return {
    ...belongingOf(span),
    emitter: 'genkit',
    tool: textAt(attributes, 'genkit:name') ?? span.name,
    args: bodyAt(attributes, 'genkit:input'),
    result,
    outcome: failed ? 'tool_error' : outcomeOf(span, result),
    error: errorOf(span),
    startNs: span.startNs,
    endNs: span.endNs,
    labels: [],
  };
}
