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

/** A name in short form (§2.5.1.1, of ASCII), `*`, or what stands in brackets. */
const STEP =
  /(?:(\.\.)|(\.))?(?:(\*)|([A-Za-z_][A-Za-z0-9_]*)|\[(?:(\*)|(0|[1-9]\d{0,8})|'((?:[^'\\]|\\['\\])*)'|"((?:[^"\\]|\\["\\])*)")\])/y;
const MAX_STEPS = 32;

export function parsePath(text: string): ParsedPath {
  if (!text.startsWith('$')) return fault('must begin with $');
  const steps: PathStep[] = [];
  STEP.lastIndex = 1;
  while (STEP.lastIndex < text.length) {
    const at = STEP.lastIndex;
    const match = STEP.exec(text);
    const step = match === null ? undefined : stepOf(match);
    if (step === undefined) return fault(`is no path that is understood, from character ${at + 1} on`);
    steps.push(step);
  }
  if (steps.length > MAX_STEPS) return fault(`has more than ${MAX_STEPS} steps`);
  return { kind: 'path', steps };
}

function stepOf(match: RegExpExecArray): PathStep | undefined {
  const [, descends, dot, star, short, anyInside, index, single, double] = match;
  const isDescendant = descends !== undefined;
  const isShort = star !== undefined || short !== undefined;
  // A short name needs its dot, brackets take none.
  if (isShort !== (dot !== undefined || isDescendant) && !(isDescendant && !isShort)) return undefined;
  if (star !== undefined || anyInside !== undefined) return { kind: 'any', isDescendant };
  if (index !== undefined) return { kind: 'index', index: Number(index), isDescendant };
  const name = short ?? (single ?? double ?? '').replaceAll(/\\(.)/g, '$1');
  return { kind: 'name', name, isDescendant };
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
