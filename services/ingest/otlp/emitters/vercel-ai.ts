/** Vercel's AI SDK before its move to the GenAI conventions (`experimental_telemetry` of ai 4-6, LegacyOpenTelemetry of 7). */
import { bodyAt, bodyOf, jsonOf, listAt, objectOf, own, textAt, textIn } from '../attributes.ts';
import { belongingOf } from '../belonging.ts';
import type { OtlpSpan } from '../model.ts';
import { errorOf, outcomeOf } from '../outcome.ts';
import type { ToolCall } from '../tool-call.ts';
import { namesOf, unofferedCall } from './gen-ai.ts';

export function vercelAiCall(span: OtlpSpan): ToolCall | undefined {
  const { attributes } = span;
  const tool = textAt(attributes, 'ai.toolCall.name');
  if (attributes.get('ai.operationId') !== 'ai.toolCall' || tool === undefined) return undefined;
  const result = bodyAt(attributes, 'ai.toolCall.result');
  return {
    ...belongingOf(span),
    emitter: 'vercel_ai',
    tool,
    args: bodyAt(attributes, 'ai.toolCall.args'),
    result,
    outcome: outcomeOf(span, result),
    error: errorOf(span),
    startNs: span.startNs,
    endNs: span.endNs,
    toolCallId: textAt(attributes, 'ai.toolCall.id'),
    labels: [],
  };
}

const MODEL_CALLS: ReadonlySet<unknown> = new Set(['ai.generateText.doGenerate', 'ai.streamText.doStream']);

/** Calls in a model's answer to tools that were not offered to it. */
export function vercelAiUnoffered(span: OtlpSpan): readonly ToolCall[] {
  const { attributes } = span;
  if (!MODEL_CALLS.has(attributes.get('ai.operationId'))) return [];
  const offered = namesOf(
    listAt(attributes, 'ai.prompt.tools').map((tool) => (typeof tool === 'string' ? jsonOf(tool) : tool)),
  );
  if (offered.size === 0) return [];
  return listAt(attributes, 'ai.response.toolCalls').flatMap((value) => {
    const call = objectOf(value);
    const tool = textIn(call, 'toolName');
    if (call === undefined || tool === undefined || offered.has(tool)) return [];
    const args = bodyOf(own(call, 'input') ?? own(call, 'args'));
    return [unofferedCall(span, 'vercel_ai', { tool, args, toolCallId: textIn(call, 'toolCallId') })];
  });
}
