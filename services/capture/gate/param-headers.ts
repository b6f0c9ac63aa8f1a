/**
 * Which arguments of which tools travel in `Mcp-Param-*` headers too: `x-mcp-header` in the input schemas that a server
 * lists (MCP 2026-07-28). The server writes them: bounded, read as data, never as code or pattern.
 */
import { arrayElements, lastMember, objectMembers, type Span } from '../json-scan.ts';
import { readLine, stringAt, valueAt } from '../message.ts';

export interface ParamHeader {
  /** `mcp-param-…`, lower case. */
  readonly header: string;
  /** Names of properties from the arguments down. */
  readonly path: readonly string[];
}

const MAX_TOOLS = 4096;
const MAX_HEADERS_OF_TOOL = 64;
const MAX_DEPTH = 16;
const MAX_SCHEMA_BYTES = 1024 * 1024;
const ANNOTATION = 'x-mcp-header';
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/u;
const MIRRORED_TYPES: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean']);
const NONE: readonly ParamHeader[] = [];

type Schema = Readonly<Record<string, unknown>>;
const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;

/** Annotations in places where the specification allows them; others are not enforced. */
export function paramHeadersOf(inputSchema: unknown): readonly ParamHeader[] {
  const found: ParamHeader[] = [];
  const walk = (schema: unknown, path: readonly string[]): void => {
    const properties = isSchema(schema) ? schema['properties'] : undefined;
    if (!isSchema(properties) || path.length >= MAX_DEPTH) return;
    for (const [name, property] of Object.entries(properties)) {
      if (!isSchema(property) || found.length >= MAX_HEADERS_OF_TOOL) return;
      const own = property[ANNOTATION];
      if (typeof own === 'string' && TOKEN.test(own) && MIRRORED_TYPES.has(property['type']))
        found.push({ header: `mcp-param-${own.toLowerCase()}`, path: [...path, name] });
      walk(property, [...path, name]);
    }
  };
  walk(inputSchema, []);
  return found;
}

export class ParamHeaders {
  readonly #byTool = new Map<string, readonly ParamHeader[]>();

  of(tool: string): readonly ParamHeader[] {
    return this.#byTool.get(tool) ?? NONE;
  }

  /** Takes a message that answers tools/list. */
  learn(line: Uint8Array): void {
    if (
      this.#byTool.size === 0 &&
      !Buffer.from(line.buffer, line.byteOffset, line.length).includes(ANNOTATION)
    )
      return;
    for (const message of readLine(line).messages) {
      if (message.result === undefined) continue;
      const tools = lastMember(objectMembers(line, message.result), 'tools');
      for (const span of tools === undefined ? [] : (arrayElements(line, tools) ?? []))
        this.#tool(line, span);
    }
  }

  #tool(line: Uint8Array, span: Span): void {
    const members = objectMembers(line, span);
    const name = stringAt(line, lastMember(members, 'name'));
    if (name === undefined) return;
    const schema = valueAt(line, lastMember(members, 'inputSchema'), MAX_SCHEMA_BYTES);
    const headers = paramHeadersOf(schema);
    if (headers.length === 0) this.#byTool.delete(name);
    else if (this.#byTool.size < MAX_TOOLS) this.#byTool.set(name, headers);
  }
}
