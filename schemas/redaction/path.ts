/**
 * A subset of JSONPath (RFC 9535 §2): `$`, `.name`, `['name']`, `.*` and `[*]`, `[n]`, and the descendants `..name`, `..['name']`
 * and `..*`. No filters, slices or unions, so that a path is held against a place while the body is walked once.
 */

export type PathStep =
  | { readonly kind: 'name'; readonly name: string; readonly isDescendant: boolean }
  | { readonly kind: 'index'; readonly index: number; readonly isDescendant: boolean }
  | { readonly kind: 'any'; readonly isDescendant: boolean };

export type ParsedPath =
  | { readonly kind: 'path'; readonly steps: readonly PathStep[] }
  | { readonly kind: 'fault'; readonly message: string };

/** `.name`, `.*`, `..name` or `..*`: a name in short form (§2.5.1.1, of ASCII). */
const SHORT = /(\.\.?)(?:(\*)|([A-Za-z_][A-Za-z0-9_]*))/y;
/** `[…]` or `..[…]`: any, an index, or a name in quotes. */
const BRACKETS = /(\.\.)?\[(?:(\*)|(0|[1-9]\d{0,8})|'((?:[^'\\]|\\['\\])*)'|"((?:[^"\\]|\\["\\])*)")\]/y;
const MAX_STEPS = 32;

export function parsePath(text: string): ParsedPath {
  if (!text.startsWith('$')) return fault('must begin with $');
  const steps: PathStep[] = [];
  let at = 1;
  while (at < text.length) {
    const found = shortStep(text, at) ?? bracketStep(text, at);
    if (found === undefined) return fault(`is no path that is understood, from character ${at + 1} on`);
    steps.push(found.step);
    at = found.end;
  }
  if (steps.length > MAX_STEPS) return fault(`has more than ${MAX_STEPS} steps`);
  return { kind: 'path', steps };
}

interface FoundStep {
  readonly step: PathStep;
  readonly end: number;
}

function shortStep(text: string, at: number): FoundStep | undefined {
  SHORT.lastIndex = at;
  const match = SHORT.exec(text);
  if (match === null) return undefined;
  const [, dots, , name] = match;
  const isDescendant = dots === '..';
  const end = SHORT.lastIndex;
  return {
    step: name === undefined ? { kind: 'any', isDescendant } : { kind: 'name', name, isDescendant },
    end,
  };
}

function bracketStep(text: string, at: number): FoundStep | undefined {
  BRACKETS.lastIndex = at;
  const match = BRACKETS.exec(text);
  if (match === null) return undefined;
  const [, dots, star, index, single, double] = match;
  const isDescendant = dots !== undefined;
  const end = BRACKETS.lastIndex;
  if (star !== undefined) return { step: { kind: 'any', isDescendant }, end };
  if (index !== undefined) return { step: { kind: 'index', index: Number(index), isDescendant }, end };
  const name = (single ?? double ?? '').replaceAll(/\\(.)/g, '$1');
  return { step: { kind: 'name', name, isDescendant }, end };
}

const fault = (message: string): ParsedPath => ({ kind: 'fault', message });

function fits(step: PathStep, part: string | number): boolean {
  switch (step.kind) {
    case 'any':
      return true;
    case 'name':
      return part === step.name;
    case 'index':
      return part === step.index;
  }
}

/**
 * Steps that are done after going down to `part`, from those that were done above (ascending numbers; start with [0]). A place,
 * and all below it, is selected once a number is the count of steps.
 */
export function advance(
  steps: readonly PathStep[],
  done: readonly number[],
  part: string | number,
): readonly number[] {
  if (done.length === 0) return done;
  const next = new Set<number>();
  for (const at of done) {
    const step = steps[at];
    if (step === undefined) next.add(at);
    else {
      if (step.isDescendant) next.add(at);
      if (fits(step, part)) next.add(at + 1);
    }
  }
  return [...next];
}
