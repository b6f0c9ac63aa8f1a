/**
 * Tool definitions as the server lists them: hash of the exact bytes of each definition, its annotations (untrusted
 * hints), what it hides, what it promises of its output, and a snapshot when a list is whole and differs from the one before. A changed definition under an old name
 * is the rug pull that analysts look for.
 */
import { arrayElements, lastMember, objectMembers, type Span } from './json-scan.ts';
import { concealedInJson, type Concealed } from './concealed.ts';
import { stringAt, textOf, valueAt } from './message.ts';
import { OutputSchema } from './output-schema.ts';
import { recordableName } from './draft.ts';

export type Sha256Hex = (bytes: Uint8Array) => string;

export interface ToolDefinition {
  readonly name: string;
  readonly definitionHash: string;
  readonly annotations: Readonly<Record<string, unknown>> | undefined;
  readonly concealed: readonly Concealed[];
  /** undefined where the tool promises no structure. */
  readonly outputSchema: OutputSchema | undefined;
}

export interface Snapshot {
  readonly snapshotHash: string;
  readonly tools: readonly ToolDefinition[];
  /** Names whose definition differs from the one listed before. */
  readonly changed: readonly string[];
  /** The server listed more tools than are kept. */
  readonly truncated: boolean;
}

const MAX_TOOLS = 4096;
const HINTS = ['title', 'readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint'] as const;
const MAX_TITLE_CHARACTERS = 256;
const MAX_SCHEMA_BYTES = 64 * 1024;
/** Of one list; the schemas over it are not kept, and what they would be held against stays unchecked. */
const MAX_SCHEMAS_BYTES = 2 * 1024 * 1024;

/** Only the hints of the MCP specification, booleans and a short title: a server writes here what it likes. */
export function knownHints(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const source = value as Readonly<Record<string, unknown>>;
  const hints: Record<string, unknown> = {};
  for (const name of HINTS) {
    const hint = source[name];
    if (typeof hint === 'boolean') hints[name] = hint;
    else if (name === 'title' && typeof hint === 'string') hints[name] = hint.slice(0, MAX_TITLE_CHARACTERS);
  }
  return Object.keys(hints).length === 0 ? undefined : hints;
}

export class ToolRegistry {
  readonly #sha256Hex: Sha256Hex;
  #current = new Map<string, ToolDefinition>();
  #listing = new Map<string, ToolDefinition>();
  #truncated = false;
  #schemaBytes = 0;
  #lastSnapshotHash = '';

  constructor(sha256Hex: Sha256Hex) {
    this.#sha256Hex = sha256Hex;
  }

  definition(name: string): ToolDefinition | undefined {
    return this.#current.get(name);
  }

  /** Takes one page of tools/list (`first` = asked without a cursor). A snapshot when the list is whole and new. */
  page(bytes: Uint8Array, result: Span, first: boolean): Snapshot | undefined {
    const members = objectMembers(bytes, result);
    const tools = lastMember(members, 'tools');
    if (tools === undefined) return undefined;
    if (first) {
      this.#listing = new Map();
      this.#truncated = false;
      this.#schemaBytes = 0;
    }
    for (const span of arrayElements(bytes, tools) ?? []) this.#addTool(bytes, span);
    const cursor = stringAt(bytes, lastMember(members, 'nextCursor'));
    return cursor === undefined ? this.#finish() : undefined;
  }

  #addTool(bytes: Uint8Array, span: Span): void {
    const members = objectMembers(bytes, span);
    const name = stringAt(bytes, lastMember(members, 'name'));
    if (name === undefined) return;
    if (this.#listing.size >= MAX_TOOLS) {
      this.#truncated = true;
      return;
    }
    this.#listing.set(recordableName(name), {
      name: recordableName(name),
      definitionHash: this.#sha256Hex(bytes.subarray(span.start, span.end)),
      annotations: knownHints(valueAt(bytes, lastMember(members, 'annotations'))),
      concealed: concealedInJson(textOf(bytes, span)),
      outputSchema: this.#outputSchema(bytes, lastMember(members, 'outputSchema')),
    });
  }

  #outputSchema(bytes: Uint8Array, span: Span | undefined): OutputSchema | undefined {
    if (span === undefined) return undefined;
    const length = span.end - span.start;
    const fits = length <= MAX_SCHEMA_BYTES && this.#schemaBytes + length <= MAX_SCHEMAS_BYTES;
    if (fits) this.#schemaBytes += length;
    return new OutputSchema(fits ? textOf(bytes, span) : undefined);
  }

  #finish(): Snapshot | undefined {
    const tools = [...this.#listing.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const snapshotHash = this.#sha256Hex(
      new TextEncoder().encode(
        tools.map((tool) => `${JSON.stringify(tool.name)} ${tool.definitionHash}\n`).join(''),
      ),
    );
    const changed = tools.filter((tool) => {
      const held = this.#current.get(tool.name);
      return held !== undefined && held.definitionHash !== tool.definitionHash;
    });
    this.#current = this.#listing;
    this.#listing = new Map();
    if (snapshotHash === this.#lastSnapshotHash) return undefined;
    this.#lastSnapshotHash = snapshotHash;
    return { snapshotHash, tools, changed: changed.map((tool) => tool.name), truncated: this.#truncated };
  }
}
