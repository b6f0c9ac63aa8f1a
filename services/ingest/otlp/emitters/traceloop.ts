/**
 * Traceloop (OpenLLMetry): LangChain tools (`execute_tool` with the class of the tool for its name) and MCP clients
 * (`NAME.tool`). The name of a LangChain tool stands in its answer only; a call that failed has none.
 */
import { bodyAt, bodyOf, jsonOf, objectOf, own, textAt, textIn, type JsonObject } from '../attributes.ts';
import { belongingOf } from '../belonging.ts';
import type { OtlpSpan } from '../model.ts';
import { errorOf, outcomeOf } from '../outcome.ts';
import type { ToolCall } from '../tool-call.ts';
import { toolMessageOf } from './tool-message.ts';

export function traceloopCall(span: OtlpSpan): ToolCall | undefined {
  const { attributes } = span;
  const entity = textAt(attributes, 'traceloop.entity.name');
  const kind = attributes.get('traceloop.span.kind');
  if (entity === undefined || typeof kind !== 'string') return undefined;
  const isTool = kind === 'tool' || attributes.get('gen_ai.operation.name') === 'execute_tool';
  if (!isTool) return undefined;
  const input = objectOf(jsonOf(textAt(attributes, 'traceloop.entity.input')));
  return textIn(input, 'tool_name') === undefined
    ? langChainCall(span, entity, input)
    : mcpCall(span, entity, input ?? {});
}

function mcpCall(span: OtlpSpan, entity: string, input: JsonObject): ToolCall {
  const output = bodyAt(span.attributes, 'traceloop.entity.output');
  const parsed = objectOf(jsonOf(output));
  const result =
    parsed === undefined || own(parsed, 'result') === undefined ? output : bodyOf(own(parsed, 'result'));
  return {
    ...belongingOf(span),
    emitter: 'traceloop',
    tool: textIn(input, 'tool_name') ?? entity,
    args: bodyOf(own(input, 'arguments')),
    result,
    outcome: outcomeOf(span, output),
    error: errorOf(span),
    startNs: span.startNs,
    endNs: span.endNs,
    labels: [],
  };
}

function langChainCall(span: OtlpSpan, entity: string, input: JsonObject | undefined): ToolCall {
  const { attributes } = span;
  const output = bodyAt(attributes, 'traceloop.entity.output');
  const message = toolMessageOf(jsonOf(output));
  const named = textAt(attributes, 'gen_ai.tool.name') ?? message?.name;
  const result = message === undefined ? output : message.content;
  return {
    ...belongingOf(span),
    emitter: 'traceloop',
    tool: named ?? entity,
    args: argumentsOf(input) ?? bodyAt(attributes, 'traceloop.entity.input'),
    result,
    outcome: message?.failed === true ? 'tool_error' : outcomeOf(span, result),
    error: errorOf(span),
    startNs: span.startNs,
    endNs: span.endNs,
    toolCallId: message?.toolCallId,
    labels: named === undefined ? ['tool_name_lost'] : [],
  };
}

/** `{"args":["…"]}`: the arguments as text in a list of one. */
function argumentsOf(input: JsonObject | undefined): string | undefined {
  const args = input === undefined ? undefined : own(input, 'args');
  return Array.isArray(args) && args.length === 1 ? bodyOf(args[0]) : undefined;
}
