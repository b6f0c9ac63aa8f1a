/**
 * All that arguments or a result say, as one text: for rules that look for a phrase or a pattern and cannot know under
 * which name a server puts it. Bodies are attacker-controlled, so depth, values and characters are bounded; what lies
 * behind a bound is not seen.
 */
const MAX_TEXT_CHARACTERS = 262_144;
const MAX_DEPTH = 64;
const MAX_VALUES = 65_536;

/** The last object and its text: several rules ask for the same one in a row. */
let lastValue: object | undefined;
let lastText: string | undefined;

/** Texts, numbers and booleans in the order in which they stand, one a line, names left out; undefined when there are none. */
export function wholeText(value: unknown): string | undefined {
  if (typeof value === 'string') return value.slice(0, MAX_TEXT_CHARACTERS);
  if (typeof value !== 'object' || value === null) return value === undefined ? undefined : scalar(value);
  if (value !== lastValue) {
    lastText = collect(value);
    lastValue = value;
  }
  return lastText;
}

function scalar(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

interface Walk {
  readonly parts: string[];
  characters: number;
  values: number;
}

function collect(value: object): string | undefined {
  const walk: Walk = { parts: [], characters: 0, values: 0 };
  visit(value, 0, walk);
  return walk.parts.length === 0 ? undefined : walk.parts.join('\n').slice(0, MAX_TEXT_CHARACTERS);
}

function visit(value: unknown, depth: number, walk: Walk): void {
  if (walk.characters >= MAX_TEXT_CHARACTERS || walk.values++ >= MAX_VALUES) return;
  if (typeof value === 'object' && value !== null) {
    if (depth < MAX_DEPTH) {
      for (const item of Array.isArray(value) ? (value as unknown[]) : Object.values(value))
        visit(item, depth + 1, walk);
    }
    return;
  }
  const text = scalar(value);
  if (text === undefined) return;
  walk.parts.push(text);
  walk.characters += text.length + 1;
}
