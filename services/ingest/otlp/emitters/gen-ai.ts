/**
 * OpenTelemetry's GenAI and MCP conventions (open-telemetry/semantic-conventions-genai): `execute_tool` spans of agents,
 * `tools/call` spans of MCP clients and servers, and models that ask for a tool that they were not offered. Also the
 * current telemetry of Vercel's AI SDK, which follows them, and Docker's names of tool and server.
 */
import { bodyAt, bodyOf, listAt, objectOf, own, textAt, textIn } from '../attributes.ts';
import { belongingOf } from '../belonging.ts';
import type { OtlpSpan } from '../model.ts';
import { errorOf, outcomeOf } from '../outcome.ts';
import type { ToolCall } from '../tool-call.ts';

export function genAiCall(span: OtlpSpan): ToolCall | undefined {
  const { attributes } = span;
  const isMcp = attributes.get('mcp.method.name') === 'tools/call';
  if (!isMcp && attributes.get('gen_ai.operation.name') !== 'execute_tool') return undefined;
  const result = bodyAt(attributes, 'gen_ai.tool.call.result');
  return {
    ...belongingOf(span),
    emitter: isMcp ? 'mcp' : 'gen_ai',
    tool: toolName(span),
    server: textAt(attributes, 'mcp.server.name'),
    args: bodyAt(attributes, 'gen_ai.tool.call.arguments'),
    result,
    outcome: outcomeOf(span, result),
    error: errorOf(span),
    startNs: span.startNs,
    endNs: span.endNs,
    toolCallId: textAt(attributes, 'gen_ai.tool.call.id'),
    labels: [],
  };
}

/** The name stands behind the operation in the span's name, where no attribute has it. */
function toolName({ attributes, name }: OtlpSpan): string {
  const named = textAt(attributes, 'gen_ai.tool.name', 'mcp.tool.name');
  return named ?? name.replace(/^(?:execute_tool|tools\/call) /, '');
}

/** Calls in a model's answer to tools that were not offered to it: no runtime runs them, so no span of theirs comes. */
export function genAiUnoffered(span: OtlpSpan): readonly ToolCall[] {
  const offered = namesOf(listAt(span.attributes, 'gen_ai.tool.definitions'));
  if (offered.size === 0) return [];
  return listAt(span.attributes, 'gen_ai.output.messages')
    .flatMap((message) => {
      const parts = own(objectOf(message) ?? {}, 'parts');
      return Array.isArray(parts) ? (parts as readonly unknown[]) : [];
    })
    .flatMap((value) => {
      const part = objectOf(value);
      const tool = textIn(part, 'name');
      if (part === undefined || own(part, 'type') !== 'tool_call') return [];
      if (tool === undefined || offered.has(tool)) return [];
      const asked = { tool, args: bodyOf(own(part, 'arguments')), toolCallId: textIn(part, 'id') };
      return [unofferedCall(span, 'gen_ai', asked)];
    });
}

export function namesOf(definitions: readonly unknown[]): ReadonlySet<string> {
  return new Set(definitions.flatMap((definition) => textIn(objectOf(definition), 'name') ?? []));
}

export function unofferedCall(
  span: OtlpSpan,
  emitter: ToolCall['emitter'],
  asked: Pick<ToolCall, 'tool' | 'args' | 'toolCallId'>,
): ToolCall {
  return {
    ...belongingOf(span),
    ...asked,
    emitter,
    outcome: undefined,
    startNs: span.endNs,
    endNs: span.endNs,
    labels: ['tool_not_offered'],
  };
}
