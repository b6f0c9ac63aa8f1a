/** Agent, conversation and user that a span names, in the words of all conventions that we know. */
import { jsonOf, objectOf, textAt, textIn, type JsonObject } from './attributes.ts';
import type { Attributes, OtlpSpan } from './model.ts';
import type { Belonging } from './tool-call.ts';

const AGENT = ['gen_ai.agent.name', 'agent.name', 'ai.telemetry.functionId'];
const CONVERSATION = [
  'gen_ai.conversation.id',
  'session.id',
  'ai.telemetry.metadata.sessionId',
  'ai.settings.context.sessionId',
  'traceloop.association.properties.session_id',
  'traceloop.association.properties.conversation_id',
  'traceloop.association.properties.thread_id',
  'langfuse.session.id',
];
const PRINCIPAL = [
  'user.id',
  'enduser.id',
  'ai.telemetry.metadata.userId',
  'ai.settings.context.userId',
  'traceloop.association.properties.user_id',
  'langfuse.user.id',
];

/** What a span says of itself. */
export function belongingOf({ attributes, name }: Pick<OtlpSpan, 'attributes' | 'name'>): Belonging {
  const metadata = metadataOf(attributes);
  return {
    agent: textAt(attributes, ...AGENT) ?? textIn(metadata, 'lc_agent_name') ?? ofKind(attributes, name),
    conversation: textAt(attributes, ...CONVERSATION) ?? textIn(metadata, 'session_id', 'thread_id'),
    principal: textAt(attributes, ...PRINCIPAL) ?? textIn(metadata, 'user_id'),
  };
}

/** OpenInference carries the run's own metadata as JSON text. */
function metadataOf(attributes: Attributes): JsonObject | undefined {
  const text = textAt(attributes, 'metadata');
  return text === undefined ? undefined : objectOf(jsonOf(text));
}

const GENKIT_FLOW = /^\/\{([^,{}]{1,256}),t:flow\}/;

/** Spans of an agent, and Genkit's paths, which begin with the flow. */
function ofKind(attributes: Attributes, name: string): string | undefined {
  if (attributes.get('openinference.span.kind') === 'AGENT') return name === '' ? undefined : name;
  if (attributes.get('traceloop.span.kind') === 'agent') return textAt(attributes, 'traceloop.entity.name');
  const path = textAt(attributes, 'genkit:path');
  return path === undefined ? undefined : GENKIT_FLOW.exec(path)?.[1];
}

const UNNAMED_SERVICE = 'unknown_service';

/** Who the process is, for spans that nothing above them names: the agent of its resource, else its service. */
export function agentOfResource(resource: Attributes): string {
  const named = textAt(resource, 'gen_ai.agent.name');
  if (named !== undefined) return named;
  const service = textAt(resource, 'service.name');
  return service === undefined || service.startsWith(UNNAMED_SERVICE) ? 'unknown' : service;
}

/** One run of a process, for calls without a trace around them; undefined where the resource tells no run from another. */
export function processOf(resource: Attributes): string | undefined {
  const service = textAt(resource, 'service.name') ?? UNNAMED_SERVICE;
  const instance = textAt(resource, 'service.instance.id');
  if (instance !== undefined) return `${service}/${instance}`;
  const host = textAt(resource, 'host.id', 'host.name');
  const pid = resource.get('process.pid');
  return host === undefined || typeof pid !== 'number' ? undefined : `${service}/${host}/${pid}`;
}
