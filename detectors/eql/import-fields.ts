/** Names of Elastic's common schema → ours. What is in neither is refused: a guess would make a rule that never fires. */
import { fieldReader } from '../compile/fields.ts';
import { TOOL_CLASSES } from '../../schemas/event/v1.ts';
import type { Expression } from './syntax.ts';

const ECS_FIELDS: Readonly<Record<string, string>> = {
  'event.action': 'tool.name',
  'process.name': 'tool.name',
  'process.command_line': 'args.command',
  'file.path': 'args.path',
  'url.full': 'args.url',
  'url.original': 'args.url',
  'url.domain': 'dest.host',
  'destination.domain': 'dest.host',
  'server.domain': 'dest.host',
  'dns.question.name': 'dest.host',
  'user.name': 'principal',
  'user.id': 'principal',
  'user.email': 'principal',
  'host.name': 'host',
  'host.hostname': 'host',
  'host.id': 'host',
  'agent.id': 'agent',
  'agent.name': 'agent',
  'session.id': 'session',
  'process.entity_id': 'session',
  'trace.id': 'trace_id',
  'service.name': 'server',
  'event.outcome': 'outcome',
};

/** Values of ECS that have other names here, by our field. */
const ECS_VALUES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'event.outcome': { success: ['ok'], failure: ['tool_error', 'rpc_error', 'timeout'] },
};

const ECS_CATEGORIES: Readonly<Record<string, readonly string[]>> = {
  process: ['code_exec'],
  file: ['file_read', 'file_write', 'delete'],
  network: ['web_read', 'search', 'external_post'],
  web: ['web_read', 'search'],
  database: ['database'],
  email: ['message'],
  iam: ['admin'],
  configuration: ['admin'],
};

export interface MappedField {
  /** As the query names it. */
  readonly source: string;
  readonly field: string;
}

/** Our field for a field of the query, undefined where there is none. */
export function mapField(expression: Expression): MappedField | undefined {
  if (expression.kind !== 'field') return undefined;
  const source = expression.path.join('.');
  if (fieldReader(source) !== undefined) return { source, field: source };
  const field = Object.hasOwn(ECS_FIELDS, source) ? ECS_FIELDS[source] : undefined;
  return field === undefined ? undefined : { source, field };
}

export function mapValue({ source }: MappedField, value: string): readonly string[] {
  const names = Object.hasOwn(ECS_VALUES, source) ? ECS_VALUES[source] : undefined;
  const key = value.toLowerCase();
  return names !== undefined && Object.hasOwn(names, key) ? (names[key] ?? [value]) : [value];
}

/** Classes of tools that a category stands for, undefined where there are none. */
export function mapCategory(category: string): readonly string[] | undefined {
  if ((TOOL_CLASSES as readonly string[]).includes(category)) return [category];
  return Object.hasOwn(ECS_CATEGORIES, category) ? ECS_CATEGORIES[category] : undefined;
}

export const knownCategories = (): readonly string[] => [
  'any',
  ...Object.keys(ECS_CATEGORIES),
  ...TOOL_CLASSES,
];
