/**
 * The event, version 1: one NDJSON line on the bus. Names are the contract with producers; v1 grows by optional fields
 * only. Unknown fields stay in the bytes (they are hashed) and are flagged, not projected.
 */
import { z } from 'zod';

export const EVENT_KINDS = [
  'call.intent',
  'call.result',
  'call.body',
  'stream.open',
  'stream.heartbeat',
  'stream.close',
  'stream.gap',
  'registry.snapshot',
  'mcp.request',
  'mcp.result',
  'mcp.notification',
  'peer.info',
  'decision',
  'approval',
  'control.ack',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** Kinds that only the service writes, on their own topics, in the same envelope. */
export const SERVICE_KINDS = ['alert', 'audit', 'dead_letter'] as const;
export type ServiceKind = (typeof SERVICE_KINDS)[number];

export const TOOL_CLASSES = [
  'search',
  'web_read',
  'secret_read',
  'file_read',
  'file_write',
  'external_post',
  'message',
  'payment',
  'delete',
  'publish',
  'code_exec',
  'memory_read',
  'memory_write',
  'database',
  'admin',
  'other',
] as const;
export type ToolClass = (typeof TOOL_CLASSES)[number];

/** How a call ended. `refused` = a control or policy stopped it before it reached the server. */
export const OUTCOMES = [
  'ok',
  'tool_error',
  'rpc_error',
  'cancelled',
  'input_required',
  'task_created',
  'timeout',
  'abandoned',
  'refused',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const TRANSPORTS = ['stdio', 'streamable_http', 'sse', 'in_memory', 'otlp', 'other'] as const;

const hex = (digits: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `must be ${digits} lower-case hex digits`);
export const zHex16 = hex(16);
export const zHex32 = hex(32);
export const zHex64 = hex(64);
/** A name or id: 1-256 characters, no control characters. Attacker-controlled all the same. */
export const zName = z
  .string()
  .min(1)
  .max(256)
  .regex(/^\P{Cc}*$/u, 'must hold no control characters');
/** RFC 3339, UTC, milliseconds: 2026-01-31T12:00:00.000Z */
export const zTime = z
  .string()
  .regex(
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/,
    'must be RFC 3339 in UTC with milliseconds',
  );
const zCount = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const zJson = z.unknown();

export const zApproval = z.looseObject({
  verdict: z.enum(['granted', 'denied', 'expired']),
  by: zName,
  resource: zName.optional(),
  argsHash: zHex64.optional(),
  expiresAt: zTime.optional(),
  reason: z.string().max(1024).optional(),
});
export const zDecision = z.looseObject({
  /** Names the decision inside its stream; intents that follow from it carry it as `decisionId`. */
  id: zName.optional(),
  promptHash: zHex64.optional(),
  rationale: z.string().max(8192).optional(),
  rationaleHash: zHex64.optional(),
  model: zName.optional(),
});
export const zRegistryTool = z.looseObject({
  name: zName,
  definitionHash: zHex64,
  class: z.enum(TOOL_CLASSES).optional(),
  annotations: z.record(z.string(), zJson).optional(),
  /** Listed with another definition than before. */
  changed: z.boolean().optional(),
  /** The policy that left it out of what the client got (mode enforce), or would have; by this rule. */
  hidden: zName.optional(),
  /** Kinds of characters in the definition that a person does not see. */
  concealed: z.array(z.string().max(64)).max(16).optional(),
});
export const zRegistry = z.looseObject({ snapshotHash: zHex64, tools: z.array(zRegistryTool).max(4096) });
export const zBodyPart = z.looseObject({
  of: z.enum(['args', 'result']),
  part: zCount,
  parts: zCount,
  totalBytes: zCount,
  /** SHA-256 of the whole body. */
  hash: zHex64,
  /** How `data` gives its bytes: as UTF-8 text (also when absent), or base64 where they are no UTF-8. */
  encoding: z.enum(['utf8', 'base64']).optional(),
  data: z.string(),
});
/** What MCP says of a message, beside its method. All of it is the peers' own words. */
export const zMcp = z.looseObject({
  /** Who sent the request or the notification. */
  sender: z.enum(['client', 'server']).optional(),
  /** Resource of resources/read, subscribe, updated. */
  uri: z.string().max(2048).optional(),
  /** Name of a prompt, of what is completed, of a logger. */
  name: zName.optional(),
  level: zName.optional(),
  /** Elicitation: form or url, host and scheme of the URL, what it says, names of the fields asked (never values), answer. */
  mode: zName.optional(),
  host: zName.optional(),
  scheme: zName.optional(),
  message: z.string().max(4096).optional(),
  fields: z.array(zName).max(64).optional(),
  action: zName.optional(),
  /** Sampling: names of the tools offered to the model. */
  tools: z.array(zName).max(64).optional(),
  taskId: zName.optional(),
  taskStatus: zName.optional(),
  /** 2 for the first repetition of a request after input_required, and so on. */
  round: zCount.optional(),
  requestStateHash: zHex64.optional(),
  progress: z
    .looseObject({ count: zCount, last: z.number().optional(), total: z.number().optional() })
    .optional(),
  /** Like messages since the last one on record that are not on record themselves. */
  skipped: zCount.optional(),
});
const zPeer = z.looseObject({ name: zName.optional(), version: zName.optional(), title: zName.optional() });
/** What client and server say of themselves. Nobody has verified it: no identity, no authority. */
export const zPeers = z.looseObject({
  verified: z.literal(false),
  client: zPeer.optional(),
  server: zPeer.optional(),
  protocolVersion: zName.optional(),
  clientCapabilities: z.array(zName).max(64).optional(),
  serverCapabilities: z.array(zName).max(64).optional(),
  /** SHA-256 of the instructions that the server gives the model. */
  instructionsHash: zHex64.optional(),
});
export const zStreamState = z.looseObject({
  /** stream.close: number of events of the stream, this one included. */
  count: zCount.optional(),
  /** stream.gap: events that the spool had to give up, and why. */
  dropped: zCount.optional(),
  reason: zName.optional(),
});
/** A call that a host held back until detection had judged its intent; what came of it stands in the result. */
export const zHold = z.looseObject({
  budgetMs: zCount,
  /** call.result: how long it waited, and for what. */
  waitedMs: z.number().min(0).max(1e12).optional(),
  verdict: z.enum(['clear', 'shadow_refuse', 'refuse', 'timeout_open', 'timeout_closed']).optional(),
  ruleId: zName.optional(),
});
/** Of a host's policy (schemas/policy). `shadow`: on record only. `warn`: and in the host's log. `enforce`: what is refused does not leave. */
export const POLICY_MODES = ['shadow', 'warn', 'enforce'] as const;
export type PolicyMode = (typeof POLICY_MODES)[number];
/** Which policy decided, by which of its lines, and what it says whatever its mode. */
export const zPolicyStamp = z.looseObject({
  id: zName,
  version: zCount,
  /** SHA-256 of the policy file's exact bytes. */
  hash: zHex64,
  mode: z.enum(POLICY_MODES),
  effect: z.enum(['allow', 'refuse', 'approve']).optional(),
  /** `allow/ID`, `deny/ID`, `hide/ID`, `approvals/ID`, `default` (no line allows it), `ambiguous`. */
  rule: zName.optional(),
  /** The approval that is asked for: how long it may be answered, how long the call waits, and whether by somebody else. */
  request: z.looseObject({ ttlMs: zCount, waitMs: zCount, fourEyes: z.boolean() }).optional(),
});
export type PolicyStamp = z.infer<typeof zPolicyStamp>;
/** The file of a host's policy was changed; on a heartbeat, whose `policy` is what is in force from then on. */
export const zPolicyChange = z.looseObject({
  /** `rejected`: the file has faults or cannot be read, and what was in force stays so. */
  state: z.enum(['applied', 'rejected']),
  previousHash: zHex64,
  previousMode: z.enum(POLICY_MODES),
  /** SHA-256 of the file as it is now; absent where it cannot be read. */
  hash: zHex64.optional(),
  faults: z.array(z.string().max(512)).max(8).optional(),
});
export type PolicyChange = z.infer<typeof zPolicyChange>;
/** The mapping of labels that is in force at a host (stream.open), and what of it changes bytes. */
export const zLabelMappingStamp = z.looseObject({
  /** SHA-256 of its file's exact bytes; of its JSON where it stands in a gate's configuration. */
  hash: zHex64,
  resultMeta: z.boolean(),
  instructions: z.string().max(64),
});
export type LabelMappingStamp = z.infer<typeof zLabelMappingStamp>;
/** Its file was changed; on a heartbeat, whose `labelMapping` is what is in force from then on. */
export const zLabelMappingChange = zPolicyChange.omit({ previousMode: true });
export type LabelMappingChange = z.infer<typeof zLabelMappingChange>;
export const zControlAck = z.looseObject({
  state: z.enum(['applied', 'lifted', 'rejected', 'channel_lost', 'channel_restored']),
  version: zCount.optional(),
  code: zName.optional(),
});
/** Claims of a bearer token as they stood in it: nobody verified its signature, so they name a suspect, not a person. */
export const zUnverifiedClaims = z.looseObject({
  iss: z.string().max(512).optional(),
  sub: z.string().max(512).optional(),
  clientId: z.string().max(512).optional(),
  aud: z.array(z.string().max(512)).max(16).optional(),
  scope: z.string().max(2048).optional(),
  /** SHA-256 of the token's id. */
  jtiHash: zHex64.optional(),
});
/** What a gate knows of the connection behind a stream; on stream.open, and on a heartbeat when the claims change. */
export const zConnection = z.looseObject({
  sessionSource: zName.optional(),
  /** gen_ai.conversation.id as the host asserted it. */
  conversationId: zName.optional(),
  /** SHA-256 of the Mcp-Session-Id; who has the id itself has the session. */
  mcpSessionHash: zHex64.optional(),
  /** SHA-256 fingerprint of the verified client certificate. */
  certificateHash: zHex64.optional(),
  claims: zUnverifiedClaims.optional(),
});

/** stream.open: the key that signs the stream's batches, and the host's agent key that vouches for it (services/evidence/batch-signature). */
export const zCertificate = z.looseObject({
  /** Raw Ed25519 keys and a signature, base64. */
  agentKey: z.base64().length(44),
  streamKey: z.base64().length(44),
  issuedMs: zCount,
  signature: z.base64().length(88),
});
/** A secret in a body: of which kind, and where (JSON Pointer; `*` for an odd name). Never the secret. */
export const zSensitive = z.looseObject({ kind: z.string().max(64), at: z.string().max(256) });
/** What reached the client where it is not what the server sent (resultHash). */
export const zDelivered = z.looseObject({
  hash: zHex64,
  bytes: zCount,
  /** What was done with text that reads like an instruction, and how often. */
  instructions: z.enum(['mark', 'strip']).optional(),
  texts: zCount.optional(),
});

/** One value that capture replaced by a marker. */
export const zRedactedPlace = z.looseObject({
  /** JSON Pointer into the body (`*` for an odd name), or the field of the event. For people. */
  at: z.string().max(256),
  /** Which scalar or name of the body, in the order of its bytes, from 0; absent for a field of the event. */
  text: zCount.optional(),
  /** Where the marker starts in that text as recorded, where the value started in the original, and its characters: UTF-16 units. */
  start: zCount,
  from: zCount,
  characters: zCount,
  rule: zName,
  action: z.enum(['remove', 'mask', 'digest']),
  /** Keyed digest of the value. */
  digest: zHex32.optional(),
  /** Not found by its rule here, but known from an earlier body of the session. */
  known: z.boolean().optional(),
  /** The value stands there in another form (base64, hex, percent-encoded, escaped, backwards). */
  encoded: z.boolean().optional(),
});
/** What a host keeps off the record (schemas/redaction): on stream.open what is in force, elsewhere what was replaced. */
export const zRedacted = z.looseObject({
  id: zName,
  version: zCount,
  /** SHA-256 of the rules in canonical form. */
  hash: zHex64,
  /** Names the key of digests and HMACs. */
  keyId: zHex16,
  /** The body on the wire: its size, and its HMAC-SHA-256, which who has key and original can open. */
  original: z.looseObject({ bytes: zCount, hmac: zHex64 }).optional(),
  places: z.array(zRedactedPlace).max(1024).optional(),
  /** Places, where the list does not hold them all. */
  count: zCount.optional(),
  /** Why the body is not on record at all. */
  leftOut: z.enum(['no_json', 'no_utf8', 'too_deep', 'too_large', 'too_many', 'budget']).optional(),
});

/** One event as a producer may send it. Loose: unknown keys are kept in the bytes. */
export const zEvent = z.looseObject({
  v: z.literal(1),
  kind: z.enum(EVENT_KINDS),
  stream: zHex32,
  seq: zCount,
  nonce: zHex32,
  time: zTime,
  session: zName,
  agent: zName,
  principal: zName.optional(),
  host: zName.optional(),
  callId: zName.optional(),
  logicalCallId: zName.optional(),
  /** The decision (decision.id) that this call follows from. */
  decisionId: zName.optional(),
  traceId: zHex32.optional(),
  spanId: zHex16.optional(),
  parentSpanId: zHex16.optional(),
  /** The operator's configured name of the MCP server, never what the server says of itself. */
  server: zName.optional(),
  transport: z.enum(TRANSPORTS).optional(),
  tool: zName.optional(),
  /** JSON-RPC method of a message that is no tool call. */
  method: zName.optional(),
  /** Claimed tool class; the effective class is computed (detectors/classify). */
  class: z.enum(TOOL_CLASSES).optional(),
  definitionHash: zHex64.optional(),
  annotations: z.record(z.string(), zJson).optional(),
  args: zJson.optional(),
  /** SHA-256 of the exact bytes of the arguments as they stood on the wire. */
  argsHash: zHex64.optional(),
  argsBytes: zCount.optional(),
  result: zJson.optional(),
  resultHash: zHex64.optional(),
  resultBytes: zCount.optional(),
  schemaValid: z.boolean().optional(),
  outcome: z.enum(OUTCOMES).optional(),
  durationMs: z.number().min(0).max(1e12).optional(),
  /** Trust label of the output (trusted, unknown, untrusted), and who vouches for it. */
  trust: z
    .union([z.string().max(64), z.looseObject({ level: z.string().max(64), by: zName.optional() })])
    .optional(),
  /** Data label of the body (public, internal, secret), and what capture has to say of the message. */
  labels: z.array(z.string().max(64)).max(64).optional(),
  sensitive: z.array(zSensitive).max(16).optional(),
  delivered: zDelivered.optional(),
  /** What the host decided: allow, shadow_refuse, warn_refuse, refuse, approval_required. */
  verdict: z.string().max(64).optional(),
  /** The policy that decided, or is in force (stream.open). */
  policy: zPolicyStamp.optional(),
  policyChange: zPolicyChange.optional(),
  labelMapping: zLabelMappingStamp.optional(),
  labelMappingChange: zLabelMappingChange.optional(),
  controlId: zName.optional(),
  approvalId: zName.optional(),
  hold: zHold.optional(),
  error: z.looseObject({ code: z.number().optional(), message: z.string().max(4096).optional() }).optional(),
  approval: zApproval.optional(),
  decision: zDecision.optional(),
  registry: zRegistry.optional(),
  mcp: zMcp.optional(),
  peers: zPeers.optional(),
  body: zBodyPart.optional(),
  streamState: zStreamState.optional(),
  ack: zControlAck.optional(),
  connection: zConnection.optional(),
  certificate: zCertificate.optional(),
  /** Args and result are what is on record then, and so are their hashes and sizes. */
  redaction: zRedacted.optional(),
});
export type Event = z.infer<typeof zEvent>;

/** What a kind cannot be without. Checked after the shape. */
export const REQUIRED_BY_KIND: Readonly<Record<EventKind, readonly (keyof Event)[]>> = {
  'call.intent': ['callId', 'tool'],
  'call.result': ['callId', 'outcome'],
  'call.body': ['callId', 'body'],
  'stream.open': [],
  'stream.heartbeat': [],
  'stream.close': [],
  'stream.gap': ['streamState'],
  'registry.snapshot': ['server', 'registry'],
  'mcp.request': ['callId', 'method'],
  'mcp.result': ['callId', 'method', 'outcome'],
  'mcp.notification': ['method'],
  'peer.info': ['peers'],
  decision: ['decision'],
  approval: ['approval'],
  'control.ack': ['controlId', 'ack'],
};

/** Keys that a producer never sends: the service sets them from the API key or on its own topics. */
export const FORBIDDEN_FIELDS: readonly string[] = ['tenant', 'alert', 'audit', 'deadLetter'];

/** Bodies over this travel as hash, length and call.body parts; over the second limit as head, hash and a finding. */
export const MAX_INLINE_BODY_BYTES = 256 * 1024;
export const MAX_BODY_BYTES = 16 * 1024 * 1024;
export const MAX_LINE_BYTES = 512 * 1024;
export const MAX_JSON_DEPTH = 64;

/** `<stream>-<seq>`, unique inside a tenant. */
export function eventId(stream: string, seq: number): string {
  return `${stream}-${seq}`;
}
