/** The texts of a JSON value: scalars, keys, and those of JSON inside a string. */
import type { Steps } from './steps.ts';

const MAX_DEPTH = 32;
const MAX_NODES = 4_096;
const MAX_TEXT = 256 * 1024;

export interface Texts {
  /** Strings and numbers in the order of the value. */
  readonly values: readonly string[];
  /** Names of object members. */
  readonly keys: readonly string[];
}

const NOT_ASCII = /[\u0080-\uFFFF]/;

/**
 * Unicode NFKC, so that full-width letters and the like are the letters that they look like, without characters that
 * show nothing (category Cf: soft hyphen, zero-width space). Case is kept.
 */
export function normalized(text: string): string {
  return NOT_ASCII.test(text) ? text.normalize('NFKC').replace(/\p{Cf}+/gu, '') : text;
}

class Collector {
  readonly values: string[] = [];
  readonly keys: string[] = [];
  private readonly steps: Steps;
  private nodes = 0;
  private length = 0;

  constructor(steps: Steps) {
    this.steps = steps;
  }

  visit(value: unknown, depth: number): void {
    if (depth > MAX_DEPTH || ++this.nodes > MAX_NODES) {
      this.steps.isPartial = true;
      return;
    }
    if (typeof value === 'string') this.visitText(value, depth);
    else if (typeof value === 'number') this.keep(this.values, String(value));
    else if (Array.isArray(value)) this.visitAll(value, depth);
    else if (typeof value === 'object' && value !== null) this.visitMembers(value, depth);
  }

  /** Stops at the bound of nodes: a list may be longer than what is looked at. */
  private visitAll(values: readonly unknown[], depth: number): void {
    for (const value of values) {
      this.visit(value, depth + 1);
      if (this.nodes > MAX_NODES) return;
    }
  }

  private visitMembers(value: object, depth: number): void {
    for (const [key, member] of Object.entries(value)) {
      this.keep(this.keys, key);
      this.visit(member, depth + 1);
      if (this.nodes > MAX_NODES) return;
    }
  }

  private visitText(value: string, depth: number): void {
    this.keep(this.values, value);
    const inner = value.length > MAX_TEXT ? undefined : parsedJson(value);
    if (inner !== undefined) this.visit(inner, depth + 1);
  }

  /** The text as it is kept: normalised, cut where the bound is reached. */
  private keep(into: string[], value: string): void {
    const left = MAX_TEXT - this.length;
    // Cut before normalising too, which is work and may lengthen.
    const text = normalized(value.length > left ? value.slice(0, left) : value).slice(0, left);
    if (value.length > left) this.steps.isPartial = true;
    this.length += text.length;
    if (text !== '' && this.steps.take(text.length)) into.push(text);
  }
}

const JSON_START = /^\s*[[{"]/;

/** A list, an object or a text that a string holds as JSON. */
function parsedJson(text: string): unknown {
  if (!JSON_START.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function textsOf(value: unknown, steps: Steps): Texts {
  const collector = new Collector(steps);
  collector.visit(value, 0);
  return collector;
}
