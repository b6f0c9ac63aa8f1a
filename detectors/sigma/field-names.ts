/**
 * Names of fields in Sigma rules over MCP calls → ours. Our own names stand for themselves. Names of other log sources
 * (CommandLine, Image, EventID) have no place in a tool call: they are refused, never guessed at.
 */
import { FAMILIES, fieldReader } from '../compile/fields.ts';
import { refuse, type Place } from './refusal.ts';

const NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'tool.name': 'tool name, toolname, tool_name, tool, mcp.tool.name, gen_ai.tool.name',
    'tool.class': 'toolclass, tool_class',
    server: 'servername, server_name, mcp.server.name, mcpserver',
    session: 'sessionid, session.id',
    agent: 'agentname, agent_name, agent.name, agent.id, agentid, gen_ai.agent.name',
    principal: 'user, username, user.name',
    host: 'computer, computername, hostname, host.name',
    'dest.host':
      'destinationhostname, destination.domain, destination.address, destinationip, destination.ip, dst_ip, dst_host, server.address, url.domain',
    trace_id: 'traceid, trace.id',
    call_id: 'callid, gen_ai.tool.call.id',
  }).flatMap(([ours, theirs]) => theirs.split(', ').map((name) => [name, ours] as const)),
);

/** Beginnings of open names. */
const PREFIXES: readonly (readonly [theirs: string, ours: string])[] = [
  ['arguments.', 'args.'],
  ['tool.arguments.', 'args.'],
  ['params.arguments.', 'args.'],
  ['tool_input.', 'args.'],
  ['tool_response.', 'result.'],
  ['tool_result.', 'result.'],
];

function ourName(name: string): string {
  if (fieldReader(name) !== undefined) return name;
  const exact = NAMES.get(name.toLowerCase());
  if (exact !== undefined) return exact;
  for (const [theirs, ours] of PREFIXES) {
    if (name.toLowerCase().startsWith(theirs)) return ours + name.slice(theirs.length);
  }
  return name;
}

/** Our field for a field of a Sigma rule; refuses what we have none for. */
export function fieldOf(name: string, at: Place): string {
  const ours = ourName(name);
  // An object as a whole has no text: a rule over it would load and never fire.
  if (Object.hasOwn(FAMILIES, ours))
    return refuse(at, `${name} is an object, a condition needs one of its fields`);
  if (fieldReader(ours) === undefined) return refuse(at, `there is no field ${name} in an MCP call`);
  return ours;
}
