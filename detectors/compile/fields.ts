/** The one table of fields that rules may name. Open families (`args.*`) take any path below them. */
import type { Event } from '../../schemas/event/v1.ts';
import type { LabelMapping } from '../../schemas/labels/v1.ts';
import { effectiveLabels, effectiveTrust, type EffectiveLabels } from '../labels/effective.ts';
import { wholeText } from './whole-text.ts';

type Registry = NonNullable<Event['registry']>;

/** What a field is read from: the event and what was computed about it. */
export interface FieldSource {
  readonly event: Partial<Event>;
  readonly toolClass: string;
  destHost(): string;
  /** What the operator says of data and trust; absent: nothing. */
  readonly labelMapping?: LabelMapping | undefined;
  /** The effective labels, where they are kept once they were worked out. */
  effectiveLabels?(): EffectiveLabels;
}

interface FieldEntry {
  readonly meaning: string;
  /** Known only when the call has returned: a selection that reads it matches results, not intents. */
  readonly ofResult: boolean;
  readonly read: (source: FieldSource) => unknown;
}

const field = (meaning: string, read: (source: FieldSource) => unknown, ofResult = false): FieldEntry => ({
  meaning,
  ofResult,
  read,
});

/** Exact names. */
export const FIELDS: Readonly<Record<string, FieldEntry>> = {
  'event.kind': field('Kind of the event; without it a selection matches calls', (s) => s.event.kind),
  session: field('Run of an agent on a host', (s) => s.event.session),
  session_id: field('Same as session', (s) => s.event.session),
  stream: field('Writer of the event', (s) => s.event.stream),
  agent: field('Name of the agent', (s) => s.event.agent),
  agent_id: field('Same as agent', (s) => s.event.agent),
  principal: field('On whose behalf', (s) => s.event.principal),
  host: field('Host of the agent', (s) => s.event.host),
  call_id: field('Call', (s) => s.event.callId),
  logical_call_id: field('Joins the rounds of a multi-round call', (s) => s.event.logicalCallId),
  decision_id: field('Decision that the call follows from', (s) => s.event.decisionId),
  trace_id: field('W3C trace', (s) => s.event.traceId),
  server: field("Operator's name of the MCP server", (s) => s.event.server),
  'tool.server': field('Same as server', (s) => s.event.server),
  'tool.name': field('Name of the tool', (s) => s.event.tool),
  'tool.class': field('Effective class of the tool', (s) => s.toolClass),
  'tool.claimed_class': field('Class that the producer claims', (s) => s.event.class),
  'tool.definition_hash': field('Hash of the tool definition', (s) => s.event.definitionHash),
  'dest.host': field('Outside host that the call would reach', (s) => s.destHost() || undefined),
  transport: field('Transport', (s) => s.event.transport),
  args_hash: field('SHA-256 of the arguments', (s) => s.event.argsHash),
  args_bytes: field('Size of the arguments in bytes', (s) => s.event.argsBytes),
  args_text: field('All texts and numbers of the arguments, one a line', (s) => wholeText(s.event.args)),
  result_hash: field('SHA-256 of the result', (s) => s.event.resultHash, true),
  result_bytes: field('Size of the result in bytes', (s) => s.event.resultBytes, true),
  result_text: field(
    'All texts and numbers of the result, one a line',
    (s) => wholeText(s.event.result),
    true,
  ),
  outcome: field('How the call ended', (s) => s.event.outcome, true),
  duration_ms: field('Duration in ms', (s) => s.event.durationMs, true),
  schema_valid: field('Result fits the declared schema', (s) => s.event.schemaValid, true),
  trust: field('Same as trust.level', (s) => effectiveTrust(s)?.level, true),
  'trust.level': field(
    'Effective trust in the output: trusted, unknown or untrusted',
    (s) => effectiveTrust(s)?.level,
    true,
  ),
  'trust.by': field('Who vouches for that: a name, operator, or class', (s) => effectiveTrust(s)?.by, true),
  'trust.claimed': field('Trust that the producer claims', (s) => trustLevel(s.event.trust), true),
  labels: field(
    'Effective data label of the body (public, internal, secret) and labels of capture, a list',
    (s) => labelsOf(s).labels,
  ),
  'labels.claimed': field('Labels that the producer claims, a list', (s) => s.event.labels),
  'labels.secrets': field('Kinds of secrets in the body, a list', (s) => labelsOf(s).secretKinds),
  verdict: field("What the host's policy decided", (s) => s.event.verdict),
  'policy.id': field('Name of the policy that decided, or is in force', (s) => s.event.policy?.id),
  'policy.version': field('Its version', (s) => s.event.policy?.version),
  'policy.hash': field('SHA-256 of its file', (s) => s.event.policy?.hash),
  'policy.mode': field('Its mode: shadow, warn or enforce', (s) => s.event.policy?.mode),
  'policy.effect': field(
    'What it says of the call whatever its mode: allow, refuse or approve',
    (s) => s.event.policy?.effect,
  ),
  'policy.rule': field(
    'Its line that says so, as allow/ID, deny/ID, hide/ID, approvals/ID; else default or ambiguous',
    (s) => s.event.policy?.rule,
  ),
  'policy.change': field(
    'What became of a changed policy file: applied or rejected; on stream.heartbeat',
    (s) => s.event.policyChange?.state,
  ),
  'policy.previous_hash': field(
    'SHA-256 of the policy that was in force before the change',
    (s) => s.event.policyChange?.previousHash,
  ),
  'policy.previous_mode': field('Its mode', (s) => s.event.policyChange?.previousMode),
  control_id: field('Control that decided', (s) => s.event.controlId),
  approval_id: field('Approval that the call refers to', (s) => s.event.approvalId),
  'gap.dropped': field('Events that a stream had to give up', (s) => s.event.streamState?.dropped),
  'gap.reason': field('Why a stream gave events up', (s) => s.event.streamState?.reason),
  'control.state': field('What a host says of a control or its channel', (s) => s.event.ack?.state),
  'control.code': field('Why a host rejected a control', (s) => s.event.ack?.code),
  'registry.snapshot_hash': field(
    'Hash over the names and definitions of a snapshot',
    (s) => s.event.registry?.snapshotHash,
  ),
  'registry.tools': field('Names of the tools of a snapshot, a list', (s) => ofTools(s, 'name')),
  'registry.hashes': field('Definition hashes of the tools of a snapshot, a list', (s) =>
    ofTools(s, 'definitionHash'),
  ),
  'registry.changed': field(
    'Names of the tools of a snapshot that were listed otherwise before, a list',
    (s) => namesOf(s, (tool) => tool.changed === true),
  ),
  'registry.concealed': field('Names of the tools of a snapshot that hold unseen characters, a list', (s) =>
    namesOf(s, (tool) => (tool.concealed?.length ?? 0) > 0),
  ),
  'registry.tool_count': field('Number of tools of a snapshot', (s) => ofTools(s, 'name')?.length),
  'mcp.method': field('Method of a message that is no tool call', (s) => s.event.method),
  'mcp.sender': field('Who sent it: client or server', (s) => s.event.mcp?.sender),
  'mcp.uri': field('Resource that it names', (s) => s.event.mcp?.uri),
  'mcp.name': field('Prompt, completion or logger that it names', (s) => s.event.mcp?.name),
  'mcp.mode': field('Elicitation: form or url', (s) => s.event.mcp?.mode),
  'mcp.host': field('Elicitation: host of the URL that a person is sent to', (s) => s.event.mcp?.host),
  'mcp.message': field('Elicitation: what a person is told', (s) => s.event.mcp?.message),
  'mcp.fields': field(
    'Elicitation: names of the fields that are asked for, a list',
    (s) => s.event.mcp?.fields,
  ),
  'mcp.action': field('Elicitation: accept, decline or cancel', (s) => s.event.mcp?.action, true),
  'mcp.tools': field('Sampling: names of the tools offered to the model, a list', (s) => s.event.mcp?.tools),
  'mcp.task_id': field('Task that it speaks of', (s) => s.event.mcp?.taskId),
  'mcp.task_status': field('What the server says of the task', (s) => s.event.mcp?.taskStatus, true),
  'mcp.round': field('Round of a request that was repeated with input', (s) => s.event.mcp?.round),
  'peer.client': field('Name that the client gives itself (unverified)', (s) => s.event.peers?.client?.name),
  'peer.server': field('Name that the server gives itself (unverified)', (s) => s.event.peers?.server?.name),
  'peer.protocol_version': field(
    'Protocol revision of the connection',
    (s) => s.event.peers?.protocolVersion,
  ),
  'alert.rule': field('Rule of an alert', (s) => ofAlert(s, 'ruleId')),
  'alert.level': field('Level of an alert', (s) => ofAlert(s, 'level')),
  'alert.tags': field('Tags of the rule of an alert', (s) => ofAlert(s, 'tags')),
  'alert.rule_hash': field('Semantic hash of the rule of an alert', (s) => ofAlert(s, 'ruleHash')),
};

/** Open families: prefix → object that the rest of the path is read from. */
export const FAMILIES: Readonly<Record<string, FieldEntry>> = {
  args: field('Arguments of the call', (s) => s.event.args),
  result: field('Result of the call', (s) => s.event.result, true),
  annotations: field('Annotations of the tool (claims of its server)', (s) => s.event.annotations),
  approval: field('verdict, by, resource, argsHash of an approval', (s) => s.event.approval),
  decision: field('promptHash, rationale, model of a decision', (s) => s.event.decision),
};

/** One property of every tool of a registry snapshot; undefined where the event is none. */
function ofTools(source: FieldSource, name: 'name' | 'definitionHash'): readonly string[] | undefined {
  // The rules' own tests make events that have a snapshot hash only.
  const tools: Registry['tools'] | undefined = source.event.registry?.tools;
  return Array.isArray(tools) ? tools.map((tool) => tool[name]) : undefined;
}

/** Names of the tools of a registry snapshot of which `holds` is true. */
function namesOf(
  source: FieldSource,
  holds: (tool: Registry['tools'][number]) => boolean,
): readonly string[] | undefined {
  const tools: Registry['tools'] | undefined = source.event.registry?.tools;
  return Array.isArray(tools) ? tools.filter(holds).map((tool) => tool.name) : undefined;
}

/** Alerts of other rules come as events of a kind of their own, made inside the matcher; no producer's event has one. */
function ofAlert(source: FieldSource, name: 'ruleId' | 'level' | 'tags' | 'ruleHash'): unknown {
  const { alert }: { readonly alert?: unknown } = source.event as object;
  return typeof alert === 'object' && alert !== null && Object.hasOwn(alert, name)
    ? (alert as Record<string, unknown>)[name]
    : undefined;
}

const labelsOf = (source: FieldSource): EffectiveLabels =>
  source.effectiveLabels?.() ?? effectiveLabels(source);

function trustLevel(trust: Event['trust']): string | undefined {
  return typeof trust === 'object' ? trust.level : trust;
}

const MAX_PATH_PARTS = 12;
const snakeToCamel = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Own values only: `args.constructor` is a key like any other. Lists are walked into, any element may hold the rest. */
function below(value: unknown, path: readonly string[], at: number): unknown {
  if (at === path.length) return value;
  if (Array.isArray(value)) {
    const found = value.slice(0, 64).flatMap((item) => below(item, path, at) ?? []);
    return found.length === 0 ? undefined : found;
  }
  const name = path[at];
  if (typeof value !== 'object' || value === null || name === undefined || !Object.hasOwn(value, name)) {
    return undefined;
  }
  return below((value as Record<string, unknown>)[name], path, at + 1);
}

export interface FieldReader {
  readonly name: string;
  readonly ofResult: boolean;
  readonly read: (source: FieldSource) => unknown;
}

const readers = new Map<string, FieldReader>();

/** Reader of a field, undefined when no such field exists. */
export function fieldReader(name: string): FieldReader | undefined {
  const known = readers.get(name);
  if (known !== undefined) return known;
  const made = makeReader(name);
  // Names come from rule files, not from events; the bound is for a long-lived process that loads many.
  if (made !== undefined && readers.size < 10_000) readers.set(name, made);
  return made;
}

function makeReader(name: string): FieldReader | undefined {
  const exact = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  if (exact !== undefined) return { name, ofResult: exact.ofResult, read: exact.read };
  const [prefix = '', ...rest] = name.split('.');
  const family = Object.hasOwn(FAMILIES, prefix) ? FAMILIES[prefix] : undefined;
  if (family === undefined || rest.length > MAX_PATH_PARTS || rest.includes('')) return undefined;
  const own = prefix === 'approval' || prefix === 'decision';
  const path = own ? rest.map((part) => snakeToCamel(part)) : rest;
  return { name, ofResult: family.ofResult, read: (source) => below(family.read(source), path, 0) };
}

/** A scalar as text, null for everything else. */
export function scalarText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return null;
}
