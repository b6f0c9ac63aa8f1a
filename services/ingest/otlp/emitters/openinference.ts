/**
 * OpenInference (Arize): spans of kind TOOL. Of a call with one argument LangChain's instrumentation keeps the value and
 * loses its name; the value is recorded as it stands.
 */
import { jsonOf, textAt, bodyAt } from '../attributes.ts';
import { belongingOf } from '../belonging.ts';
import type { OtlpSpan } from '../model.ts';
import { errorOf, outcomeOf } from '../outcome.ts';
import type { ToolCall } from '../tool-call.ts';
import { toolMessageOf } from './tool-message.ts';

/** OpenAI's agents SDK asks an MCP server for its tools before each turn; its instrumentation makes a TOOL of that, too. */
const LISTING = 'mcp_tools';

export function openInferenceCall(span: OtlpSpan): ToolCall | undefined {
  const { attributes } = span;
  if (attributes.get('openinference.span.kind') !== 'TOOL') return undefined;
  const tool = textAt(attributes, 'tool.name');
  if (tool === undefined && span.name === LISTING) return undefined;
  const output = bodyAt(attributes, 'output.value');
  const message = toolMessageOf(jsonOf(output));
  const result = message === undefined ? output : message.content;
  return {
    ...belongingOf(span),
    emitter: 'openinference',
    tool: tool ?? span.name,
    args: bodyAt(attributes, 'input.value'),
    result,
    outcome: message?.failed === true ? 'tool_error' : outcomeOf(span, result),
    error: errorOf(span),
    startNs: span.startNs,
    endNs: span.endNs,
    toolCallId: message?.toolCallId ?? textAt(attributes, 'tool_call.id', 'tool.id'),
    labels: [],
  };
}
