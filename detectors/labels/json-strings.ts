/**
 * Texts of a JSON body with where they stand, once over the text of the wire (capture: no objects are made, a cut or
 * broken body is read as far as it goes) and once over a parsed value (detection). Both see the same texts in the same order.
 */
export interface TextPlace {
  /** Name of the member that it is the value of; empty for a name, and where there is none. */
  readonly name: string;
  /** The text is itself the name of a member. */
  readonly isName: boolean;
  /** Names and positions from the outermost on. */
  path(): readonly (string | number)[];
  /** Names around it as one text. */
  near(): string;
}

/** Answers false to end the walk. */
export type TextVisitor = (text: string, place: TextPlace) => boolean;

/** Deeper texts are visited, with a path that ends here. */
const MAX_PATH = 64;
/** Numbers shorter than any card's are not visited. */
const MIN_NUMBER_DIGITS = 12;

interface Level {
  readonly isObject: boolean;
  name: string;
  index: number;
  expectsName: boolean;
}

class Place implements TextPlace {
  isName = false;
  readonly levels: Level[] = [];

  get name(): string {
    if (this.isName) return '';
    // An element of a list is a value of the list's name.
    return this.levels.findLast((level) => level.isObject)?.name ?? '';
  }

  path(): readonly (string | number)[] {
    return this.levels.slice(0, MAX_PATH).map((level) => (level.isObject ? level.name : level.index));
  }

  near(): string {
    return this.path().join(' ');
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** End of the string that opens at `from` (its closing quote), or of the text where it does not close. */
function stringEnd(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  while (at !== -1) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
    at = text.indexOf('"', at + 1);
  }
  return text.length;
}

function decoded(raw: string): string {
  if (!raw.includes('\\')) return raw;
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    return raw;
  }
}

const isNumberCode = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) ||
  code === 0x2d ||
  code === 0x2e ||
  code === 0x2b ||
  code === 0x65 ||
  code === 0x45;

/** Visits the texts of JSON text. Never throws; never recurses; linear. */
export function visitJsonText(json: string, visit: TextVisitor): void {
  const place = new Place();
  let at = 0;
  while (at < json.length && at !== ENDED) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) at = visitString(json, at, place, visit);
    else if (isNumberCode(code)) at = visitNumber(json, at, place, visit);
    else {
      structure(place.levels, code);
      at++;
    }
  }
}

/** The visitor wants no more. */
const ENDED = Number.POSITIVE_INFINITY;

function visitString(json: string, at: number, place: Place, visit: TextVisitor): number {
  const end = stringEnd(json, at);
  const text = decoded(json.slice(at + 1, end));
  const level = place.levels.at(-1);
  place.isName = level?.expectsName === true;
  if (level?.expectsName === true) {
    level.name = text;
    level.expectsName = false;
  }
  return visit(text, place) ? end + 1 : ENDED;
}

function visitNumber(json: string, at: number, place: Place, visit: TextVisitor): number {
  let end = at + 1;
  while (end < json.length && isNumberCode(json.charCodeAt(end))) end++;
  place.isName = false;
  return end - at < MIN_NUMBER_DIGITS || visit(json.slice(at, end), place) ? end : ENDED;
}

function structure(levels: Level[], code: number): void {
  const level = levels.at(-1);
  if (code === 0x7b) levels.push({ isObject: true, name: '', index: 0, expectsName: true });
  else if (code === 0x5b) levels.push({ isObject: false, name: '', index: 0, expectsName: false });
  else if (code === 0x7d || code === 0x5d) levels.pop();
  else if (code === 0x2c && level !== undefined) {
    if (level.isObject) level.expectsName = true;
    else level.index++;
  }
}

/** The deepest value of an event's body (schemas/event/v1.ts): readers refuse what is deeper. */
const MAX_DEPTH = 64;

/** The same over a parsed value. */
export function visitJsonValue(value: unknown, visit: TextVisitor): void {
  walk(value, visit, new Place());
}

function walk(value: unknown, visit: TextVisitor, place: Place): boolean {
  if (typeof value === 'string') {
    place.isName = false;
    return visit(value, place);
  }
  if (typeof value === 'number') {
    place.isName = false;
    const text = String(value);
    return text.length < MIN_NUMBER_DIGITS || visit(text, place);
  }
  if (typeof value !== 'object' || value === null || place.levels.length > MAX_DEPTH) return true;
  return Array.isArray(value)
    ? walkList(value, visit, place)
    : walkObject(value as Record<string, unknown>, visit, place);
}

function walkList(list: readonly unknown[], visit: TextVisitor, place: Place): boolean {
  const level: Level = { isObject: false, name: '', index: 0, expectsName: false };
  place.levels.push(level);
  for (const item of list) {
    if (!walk(item, visit, place)) return false;
    level.index++;
  }
  place.levels.pop();
  return true;
}

function walkObject(object: Readonly<Record<string, unknown>>, visit: TextVisitor, place: Place): boolean {
  const level: Level = { isObject: true, name: '', index: 0, expectsName: false };
  place.levels.push(level);
  for (const name of Object.keys(object)) {
    level.name = name;
    place.isName = true;
    if (!visit(name, place) || !walk(object[name], visit, place)) return false;
  }
  place.levels.pop();
  return true;
}
