/** Names of Elastic's common schema → ours. What is in neither is refused: a guess would make a rule that never fires. */
import { fieldReader } from '../compile/fields.ts';
import { TOOL_CLASSES } from '../../schemas/event/v1.ts';
import type { Expression } from './syntax.ts';

/** By group and name. */
const ECS_FIELDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  event: { action: 'tool.name', outcome: 'outcome' },
  process: { name: 'tool.name', command_line: 'args.command', entity_id: 'session' },
  file: { path: 'args.path' },
  url: { full: 'args.url', original: 'args.url', domain: 'dest.host' },
  destination: { domain: 'dest.host' },
  server: { domain: 'dest.host' },
  user: { name: 'principal', id: 'principal', email: 'principal' },
  host: { name: 'host', hostname: 'host', id: 'host' },
  agent: { name: 'agent', id: 'agent' },
  session: { id: 'session' },
  trace: { id: 'trace_id' },
  service: { name: 'server' },
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
  const [group = '', name = '', ...rest] = source.split('.');
  const names = Object.hasOwn(ECS_FIELDS, group) ? ECS_FIELDS[group] : undefined;
  const isKnown = names !== undefined && rest.length === 0 && Object.hasOwn(names, name);
  const field = isKnown ? names[name] : undefined;
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
