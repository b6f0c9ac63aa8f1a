/** Reading attributes: text where text is meant, JSON where it is, and nothing where the sender wrote something else. */
import { scanJson } from '../../../schemas/event/scan.ts';
import { MAX_JSON_DEPTH } from '../../../schemas/event/v1.ts';
import type { Attributes, AttributeValue } from './model.ts';

/** The first of the names that holds a text that is not empty. */
export function textAt(attributes: Attributes, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = attributes.get(name);
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}

/** A body as text: what stood there, or structured values as JSON. */
export function bodyAt(attributes: Attributes, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = attributes.get(name);
    if (value !== undefined && value !== null)
      return typeof value === 'string' ? value : JSON.stringify(value);
  }
  return undefined;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Longer texts are not looked into; they are recorded all the same. */
const MAX_PARSED_CHARACTERS = 2 * 1024 * 1024;

/** The value of a text that is JSON; undefined for any other, and for one that nests deeper than an event may. */
export function jsonOf(text: string | undefined): unknown {
  if (text === undefined || text.length > MAX_PARSED_CHARACTERS) return undefined;
  if (scanJson(text, MAX_JSON_DEPTH).depth > MAX_JSON_DEPTH) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined;
}

/** The object that stands under `names`, one below the other. */
export function objectUnder(value: unknown, ...names: readonly string[]): JsonObject | undefined {
  let at = objectOf(value);
  for (const name of names) at = objectOf(at === undefined ? undefined : own(at, name));
  return at;
}

export function textIn(value: JsonObject | undefined, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const found = value === undefined ? undefined : own(value, name);
    if (typeof found === 'string' && found !== '') return found;
  }
  return undefined;
}

/** Own members only: `constructor` is a key like any other. */
export function own(value: JsonObject, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** A body that is text stays so; anything else is JSON. */
export function bodyOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The texts of a list attribute, or the elements of a list that was written as JSON text. */
export function listAt(attributes: Attributes, name: string): readonly unknown[] {
  const value: AttributeValue | undefined = attributes.get(name);
  if (Array.isArray(value)) return value as readonly unknown[];
  const parsed = typeof value === 'string' ? jsonOf(value) : undefined;
  return Array.isArray(parsed) ? (parsed as readonly unknown[]) : [];
}
