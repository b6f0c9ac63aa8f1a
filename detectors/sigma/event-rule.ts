/** A Sigma rule about one event → a rule of one step. */
import { alternativesOf, type SelectionMap } from './detection.ts';
import type { EventRule } from './document.ts';
import { metadataOf } from './metadata.ts';
import { refuse } from './refusal.ts';

/** A rule as it would stand in YAML (schemas/rule/v1.ts). */
export type RuleObject = Readonly<Record<string, unknown>>;
export type SelectionObject = SelectionMap | readonly SelectionMap[];

/** Calls of MCP tools are the only log that we have. */
function checkLogsource({ product, category, service }: EventRule['logsource']): void {
  const at = ['logsource'];
  const known = (value: string | null | undefined, ours: string): boolean => value == null || value === ours;
  if (product == null && category == null) refuse(at, 'names no log; ours is product: mcp');
  if (!known(product, 'mcp') || !known(category, 'tool_call') || service != null) {
    const named = [product, category, service].filter((part) => part != null).join(' / ');
    refuse(at, `${named} are no calls of MCP tools (product: mcp, category: tool_call)`);
  }
}

/** The selection of a rule: what one event must be like. */
export function selectionsOf(rule: EventRule): SelectionMap[] {
  checkLogsource(rule.logsource);
  return alternativesOf(rule.detection);
}

/** One alternative stands as it is, several as a list. */
export function selectionObject(alternatives: readonly SelectionMap[]): SelectionObject {
  const [only] = alternatives;
  return alternatives.length === 1 && only !== undefined ? only : alternatives;
}

export function eventRuleObject(rule: EventRule): RuleObject {
  const events = { selection: selectionObject(selectionsOf(rule)) };
  return { ...metadataOf(rule), key: 'session', events, sequence: ['selection'] };
}
