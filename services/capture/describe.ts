/**
 * What an auditor has to know of a message of MCP beside its method, read from its params or its answer: the resource,
 * the prompt, what a person is asked. Everything is the peer's own word and cut to the limits of the event schema.
 */
import { given } from './exchange-drafts.ts';
import { recordableName } from './draft.ts';
import { arrayElements, lastMember, objectMembers, type Member, type Span } from './json-scan.ts';
import { stringAt, valueAt } from './message.ts';
import { recordableMessage } from './outcome.ts';

type Members = readonly Member[] | undefined;
export type McpFields = Readonly<Record<string, unknown>>;

const MAX_URI_CHARACTERS = 2048;
const MAX_NAMES = 64;

const nameAt = (bytes: Uint8Array, members: Members, name: string): string | undefined => {
  const text = stringAt(bytes, lastMember(members, name));
  return text === undefined ? undefined : recordableName(text);
};

function uriAt(bytes: Uint8Array, members: Members): string | undefined {
  return stringAt(bytes, lastMember(members, 'uri'))
    ?.slice(0, MAX_URI_CHARACTERS)
    .replaceAll(/\p{Cs}/gu, '\uFFFD');
}

function membersAt(bytes: Uint8Array, span: Span | undefined): Members {
  return span === undefined ? undefined : objectMembers(bytes, span);
}

type Describer = (bytes: Uint8Array, params: Members) => McpFields;

const byUri: Describer = (bytes, params) => given({ uri: uriAt(bytes, params) });
const byTask: Describer = (bytes, params) => given({ taskId: nameAt(bytes, params, 'taskId') });

export const ELICITATION = 'elicitation/create';

const DESCRIBERS: ReadonlyMap<string, Describer> = new Map([
  ['resources/read', byUri],
  ['resources/subscribe', byUri],
  ['resources/unsubscribe', byUri],
  ['notifications/resources/updated', byUri],
  ['prompts/get', (bytes, params) => given({ name: nameAt(bytes, params, 'name') })],
  ['completion/complete', completed],
  ['logging/setLevel', (bytes, params) => given({ level: nameAt(bytes, params, 'level') })],
  [
    'notifications/message',
    (bytes, params) =>
      given({ level: nameAt(bytes, params, 'level'), name: nameAt(bytes, params, 'logger') }),
  ],
  ['sampling/createMessage', (bytes, params) => given({ tools: toolNames(bytes, params) })],
  [ELICITATION, elicitation],
  ...['get', 'update', 'cancel', 'result'].map((verb) => [`tasks/${verb}`, byTask] as const),
]);

/** What a request or a notification is about. */
export function describeMessage(method: string, bytes: Uint8Array, params: Members): McpFields {
  return DESCRIBERS.get(method)?.(bytes, params) ?? {};
}

function completed(bytes: Uint8Array, params: Members): McpFields {
  const ref = membersAt(bytes, lastMember(params, 'ref'));
  return given({ name: nameAt(bytes, ref, 'name'), uri: uriAt(bytes, ref) });
}

function toolNames(bytes: Uint8Array, params: Members): readonly string[] | undefined {
  const tools = lastMember(params, 'tools');
  const elements = tools === undefined ? undefined : arrayElements(bytes, tools);
  return elements
    ?.slice(0, MAX_NAMES)
    .map((tool) => nameAt(bytes, objectMembers(bytes, tool), 'name') ?? recordableName(''));
}

/** Names and places only: what is asked, of whom, and where a person is sent to. A URL's path may hold a one-time secret. */
function elicitation(bytes: Uint8Array, params: Members): McpFields {
  const url = stringAt(bytes, lastMember(params, 'url'));
  const schema = membersAt(bytes, lastMember(params, 'requestedSchema'));
  const asked = membersAt(bytes, lastMember(schema, 'properties'));
  const message = stringAt(bytes, lastMember(params, 'message'));
  return given({
    mode: nameAt(bytes, params, 'mode') ?? (url === undefined ? 'form' : 'url'),
    ...placeOf(url),
    message: message === undefined ? undefined : recordableMessage(message),
    fields: asked?.slice(0, MAX_NAMES).map(({ name }) => recordableName(name)),
  });
}

function placeOf(url: string | undefined): McpFields {
  if (url === undefined || !URL.canParse(url)) return {};
  const { hostname, protocol } = new URL(url);
  return {
    scheme: recordableName(protocol.slice(0, -1)),
    ...(hostname === '' ? {} : { host: recordableName(hostname) }),
  };
}

/** What an answer adds. */
export function describeAnswer(method: string, bytes: Uint8Array, result: Members): McpFields {
  if (method === ELICITATION) return given({ action: nameAt(bytes, result, 'action') });
  return {};
}

export interface TaskState {
  readonly taskId: string;
  readonly status: string | undefined;
}

/** The task of a result or a notification: `{task: {taskId, status}}` when created (2025-11-25), else its members themselves. */
export function taskAt(bytes: Uint8Array, members: Members): TaskState | undefined {
  const own = membersAt(bytes, lastMember(members, 'task')) ?? members;
  const taskId = valueAt(bytes, lastMember(own, 'taskId'));
  return typeof taskId === 'string'
    ? { taskId: recordableName(taskId), status: nameAt(bytes, own, 'status') }
    : undefined;
}
