/**
 * Claude Code and its agent SDK: events on /v1/logs, whose attributes are all text (also booleans and numbers).
 * `tool_result` is a call that ran; `tool_decision` with `reject` one that a user or a rule stopped. Arguments come only
 * with OTEL_LOG_TOOL_DETAILS=1; without it an MCP tool may be called `mcp_tool`.
 */
import { bodyAt, jsonOf, objectOf, textAt, textIn } from '../attributes.ts';
import { belongingOf } from '../belonging.ts';
import type { OtlpLog } from '../model.ts';
import type { ToolCall } from '../tool-call.ts';

const PREFIX = 'claude_code.';
const SCOPE = 'com.anthropic.claude_code';
const AGENT = 'claude-code';

export function claudeCodeCall(log: OtlpLog): ToolCall | undefined {
  const event = eventOf(log);
  if (event === 'tool_result') return resultCall(log);
  return event === 'tool_decision' && isRejection(log) ? rejectedCall(log) : undefined;
}

/** The event's name without its prefix; undefined for a log record of somebody else. */
function eventOf({ body, eventName, attributes, scope }: OtlpLog): string | undefined {
  const named = textAt(attributes, 'event.name');
  const full = [eventName, body, named].find((name) => typeof name === 'string' && name.startsWith(PREFIX));
  if (typeof full === 'string') return full.slice(PREFIX.length);
  return scope.startsWith(SCOPE) ? named : undefined;
}

const isRejection = ({ attributes }: OtlpLog): boolean => textAt(attributes, 'decision') === 'reject';

function resultCall(log: OtlpLog): ToolCall {
  const { attributes, timeNs } = log;
  const success = attributes.get('success');
  const ok = success === true || success === 'true';
  const error = textAt(attributes, 'error', 'error_type');
  return {
    ...common(log),
    result: bodyAt(attributes, 'tool_output'),
    outcome: ok ? 'ok' : 'tool_error',
    ...(ok || error === undefined ? {} : { error: error.slice(0, 2048) }),
    startNs: timeNs - durationNs(attributes.get('duration_ms'), timeNs),
    endNs: timeNs,
  };
}

function rejectedCall(log: OtlpLog): ToolCall {
  return {
    ...common(log),
    outcome: 'refused',
    verdict: 'refuse',
    startNs: log.timeNs,
    endNs: log.timeNs,
  };
}

type Common = Pick<ToolCall, 'emitter' | 'tool' | 'server' | 'args' | 'toolCallId' | 'labels'>;

function common(log: OtlpLog): Common & { readonly agent: string } {
  const { attributes } = log;
  const parameters = objectOf(jsonOf(bodyAt(attributes, 'tool_parameters')));
  const isMcp = textIn(parameters, 'mcp_tool_name') !== undefined;
  const names = isMcp ? { tool: textIn(parameters, 'mcp_tool_name') } : mcpNames(attributes.get('tool_name'));
  const said = belongingOf({ attributes, name: '' });
  return {
    ...said,
    agent: said.agent ?? AGENT,
    emitter: 'claude_code',
    tool: names.tool ?? 'unknown',
    server: textIn(parameters, 'mcp_server_name') ?? textAt(attributes, 'mcp_server_name') ?? names.server,
    args: bodyAt(attributes, 'tool_input', 'tool_parameters'),
    toolCallId: textAt(attributes, 'tool_use_id'),
    labels: [],
  };
}

/** `mcp__SERVER__TOOL` is how the host names a tool of an MCP server. */
function mcpNames(name: unknown): {
  readonly tool?: string | undefined;
  readonly server?: string | undefined;
} {
  if (typeof name !== 'string' || name === '') return {};
  const [, server, tool] = /^mcp__(.{1,256}?)__(.+)$/s.exec(name) ?? [];
  return server === undefined ? { tool: name } : { tool, server };
}

/** Never before 1970, whatever duration is claimed. */
function durationNs(value: unknown, timeNs: bigint): bigint {
  const ms = Math.floor(Number(value ?? 0));
  if (!Number.isSafeInteger(ms) || ms < 0) return 0n;
  const ns = BigInt(ms) * 1_000_000n;
  return ns > timeNs ? 0n : ns;
}
