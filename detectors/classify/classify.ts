/**
 * The effective class of a tool: a pure function of the event and a versioned mapping, computed alike by record,
 * detect, backtest and capture. The operator's mapping decides, then the names, then the tool's annotations as
 * untrusted hints (a server writes them about itself). The class that the producer claims is never asked.
 */
import type { ToolClass } from '../../schemas/event/v1.ts';
import { classByName } from './names.ts';
import { classByResource } from './resource.ts';

export { CLASSIFIER_VERSION } from './names.ts';
export type { ToolClass } from '../../schemas/event/v1.ts';

/** A line of the operator's mapping (config.classify.mappings): absent server or tool means any. */
export interface ClassMappingLine {
  readonly server?: string | undefined;
  readonly tool?: string | undefined;
  readonly class: ToolClass;
}

/** What is read of an event. */
export interface ClassifiedEvent {
  readonly server?: string | undefined;
  readonly tool?: string | undefined;
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
  /** Of a message that is no tool call, with the resource that it names. */
  readonly method?: string | undefined;
  readonly mcp?: { readonly uri?: string | undefined } | undefined;
}

export type ClassSource = 'mapping' | 'name' | 'annotations' | 'resource' | 'default';
export interface Classification {
  readonly class: ToolClass;
  readonly source: ClassSource;
}

/** Names kept per mapping before the older half is forgotten: names are attacker-controlled, so memory is bounded. */
const MAX_CACHED_NAMES = 8_192;

/** By tool, then by server: a key made of both would be a new text to hash for each event. */
class Names {
  size = 0;
  readonly #byTool = new Map<string, Map<string | undefined, Classification | null>>();

  get(server: string | undefined, tool: string): Classification | null | undefined {
    return this.#byTool.get(tool)?.get(server);
  }

  add(server: string | undefined, tool: string, found: Classification | null): void {
    let byServer = this.#byTool.get(tool);
    if (byServer === undefined) {
      byServer = new Map();
      this.#byTool.set(tool, byServer);
    }
    byServer.set(server, found);
    this.size += 1;
  }
}

interface NameCache {
  recent: Names;
  older: Names;
}
const caches = new WeakMap<readonly ClassMappingLine[], NameCache>();

const DEFAULT: Classification = Object.freeze({ class: 'other', source: 'default' });

/** More specific lines first: server and tool, tool alone, server alone; among equals the first. */
function byMapping(
  server: string | undefined,
  tool: string,
  mappings: readonly ClassMappingLine[],
): ToolClass | undefined {
  let best: ClassMappingLine | undefined;
  let bestRank = 0;
  for (const line of mappings) {
    if (line.tool !== undefined && line.tool !== tool) continue;
    if (line.server !== undefined && line.server !== server) continue;
    const rank = 1 + (line.server === undefined ? 0 : 1) + (line.tool === undefined ? 0 : 2);
    if (rank > bestRank) {
      best = line;
      bestRank = rank;
    }
  }
  return best?.class;
}

function decideByNames(
  server: string | undefined,
  tool: string,
  mappings: readonly ClassMappingLine[],
): Classification | null {
  const mapped = byMapping(server, tool, mappings);
  if (mapped !== undefined) return Object.freeze({ class: mapped, source: 'mapping' });
  const named = classByName(server, tool);
  return named === undefined ? null : Object.freeze({ class: named, source: 'name' });
}

function cached(
  server: string | undefined,
  tool: string,
  mappings: readonly ClassMappingLine[],
): Classification | null {
  let cache = caches.get(mappings);
  if (cache === undefined) {
    cache = { recent: new Names(), older: new Names() };
    caches.set(mappings, cache);
  }
  let found = cache.recent.get(server, tool);
  if (found !== undefined) return found;
  found = cache.older.get(server, tool) ?? decideByNames(server, tool, mappings);
  if (cache.recent.size >= MAX_CACHED_NAMES) {
    cache.older = cache.recent;
    cache.recent = new Names();
  }
  cache.recent.add(server, tool, found);
  return found;
}

/** MCP tool annotations (specification, "ToolAnnotations"): hints of the server about itself. */
function byAnnotations(annotations: Readonly<Record<string, unknown>>): ToolClass | undefined {
  if (annotations['destructiveHint'] === true && annotations['readOnlyHint'] !== true) return 'delete';
  if (annotations['readOnlyHint'] === true && annotations['openWorldHint'] === true) return 'web_read';
  if (annotations['readOnlyHint'] === false && annotations['openWorldHint'] === true) return 'external_post';
  return undefined;
}

/** Only lines that name no tool speak of a server's resources. */
function classifyMessage(event: ClassifiedEvent, mappings: readonly ClassMappingLine[]): Classification {
  const found = event.method === undefined ? undefined : classByResource(event.method, event.mcp?.uri);
  if (found === undefined) return DEFAULT;
  const line = mappings.find(({ server, tool }) => tool === undefined && server === event.server);
  return line === undefined ? { class: found, source: 'resource' } : { class: line.class, source: 'mapping' };
}

/** Effective class of the event's tool and what decided; `other` by `default` where nothing speaks, or neither tool nor resource is named. */
export function classify(event: ClassifiedEvent, mappings: readonly ClassMappingLine[]): Classification {
  if (event.tool === undefined) return classifyMessage(event, mappings);
  const named = cached(event.server, event.tool, mappings);
  if (named !== null) return named;
  const hinted = event.annotations === undefined ? undefined : byAnnotations(event.annotations);
  return hinted === undefined ? DEFAULT : { class: hinted, source: 'annotations' };
}
