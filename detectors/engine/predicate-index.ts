/**
 * Which selections an event fits, asked once an event for all rules: by kind and class, then by the value of one field
 * that a selection holds by equality, then by its tests. Selections are numbered; equal ones (by hash) are one.
 */
import { TOOL_CLASSES } from '../../schemas/event/v1.ts';
import { fieldReader, scalarText, type FieldReader } from '../compile/fields.ts';
import type { Condition } from '../compile/predicate.ts';
import type { Selection } from '../compile/rule.ts';
import type { Call } from './call.ts';

/** Selections by the lower-cased value that they hold one field to. */
interface FieldIndex {
  readonly reader: FieldReader;
  readonly byValue: ReadonlyMap<string, Entries>;
}

/** Selections of one value, ascending: those that the value settles, and those that have more tests. */
interface Entries {
  readonly settled: number[];
  readonly tested: number[];
}

/** Selections that events of one kind and class can fit. */
interface Bucket {
  /** Kind and class say all. */
  readonly always: readonly number[];
  readonly byField: readonly FieldIndex[];
  readonly tested: readonly number[];
}

const CLASS_INDEX: ReadonlyMap<string, number> = new Map(TOOL_CLASSES.map((name, index) => [name, index]));
/** Elements of a list that are looked at, as in tests of conditions. */
const MAX_ELEMENTS = 256;

/** Whether a selection can match events of this kind and class at all. */
export function isFor(selection: Selection, kind: string, toolClass: string): boolean {
  const { kinds, classes } = selection;
  if (!(kinds as readonly string[]).includes(kind)) return false;
  return classes === undefined || (classes as readonly string[]).includes(toolClass);
}

/** An equality with fixed values on a field other than those of the bucket. */
function indexable(selection: Selection): Condition | undefined {
  if (selection.maps.length > 1) return undefined;
  return selection.conditions.find(
    ({ field, operator, negated, values }) =>
      operator === 'eq' &&
      !negated &&
      field !== 'tool.class' &&
      field !== 'event.kind' &&
      !values.some((value) => String(value).startsWith('$self.')),
  );
}

/** How the index comes to a selection: at no cost beyond the look-up, by a field's value, or by its tests each time. */
export type Lookup = { readonly by: 'class' | 'test' } | { readonly by: 'field'; readonly field: string };

export function lookupOf(selection: Selection): Lookup {
  if (selection.tests.length === 0) return { by: 'class' };
  const condition = indexable(selection);
  return condition === undefined ? { by: 'test' } : { by: 'field', field: condition.field };
}

export class PredicateIndex {
  readonly selections: Selection[] = [];
  /** How many selections were put to their tests, for metrics. */
  probes = 0;
  private readonly numbers = new Map<string, number>();
  private readonly buckets = new Map<string, (Bucket | undefined)[]>();

  /** Number of a selection; equal ones share it. All are to be added before the first event. */
  add(selection: Selection): number {
    const known = this.numbers.get(selection.hash);
    if (known !== undefined) return known;
    this.numbers.set(selection.hash, this.selections.length);
    return this.selections.push(selection) - 1;
  }

  numberOf(hash: string): number | undefined {
    return this.numbers.get(hash);
  }

  /** True when some selection could fit an event of this kind and class: others need not be built. */
  concerns(kind: string, toolClass: string): boolean {
    const { always, byField, tested } = this.bucket(kind, toolClass);
    return always.length + byField.length + tested.length > 0;
  }

  /** Numbers of the selections that the event fits, ascending. The list is the index's own where it is not to change. */
  match(call: Call): readonly number[] {
    if (call.fits !== undefined) return this.known(call.fits);
    const { always, byField, tested } = this.bucket(call.kind, call.toolClass);
    if (tested.length === 0) {
      if (byField.length === 0) return always;
      // The usual case: rules that name tools, and a tool that some of them name.
      const settled = always.length === 0 && byField.length === 1 ? this.settled(byField, call) : undefined;
      if (settled !== undefined) return settled;
    }
    const found = always.slice();
    for (const index of byField) this.lookUp(index, call, found);
    for (const number of tested) this.test(number, call, found);
    return found.length === always.length ? always : found.toSorted((a, b) => a - b);
  }

  /** All that fits by one field, where its value is one text and settles all; undefined where more is to be done. */
  private settled([index]: readonly FieldIndex[], call: Call): readonly number[] | undefined {
    const value = index === undefined ? undefined : call.read(index.reader);
    if (index === undefined || Array.isArray(value)) return undefined;
    const entries = entriesOf(index, scalarText(value));
    if (entries === undefined) return NONE;
    return entries.tested.length === 0 ? entries.settled : undefined;
  }

  private known(hashes: ReadonlySet<string>): readonly number[] {
    const found: number[] = [];
    for (const hash of hashes) {
      const number = this.numbers.get(hash);
      if (number !== undefined) found.push(number);
    }
    return found.toSorted((a, b) => a - b);
  }

  private test(number: number, call: Call, found: number[]): void {
    this.probes++;
    if (call.matches(this.selections[number] as Selection)) found.push(number);
  }

  private lookUp(index: FieldIndex, call: Call, found: number[]): void {
    const value = call.read(index.reader);
    if (!Array.isArray(value)) {
      this.lookUpText(index, scalarText(value), { call, found });
      return;
    }
    const seen = new Set<string>();
    for (const element of value.slice(0, MAX_ELEMENTS)) {
      const text = scalarText(element)?.toLowerCase();
      if (text === undefined || seen.has(text)) continue;
      seen.add(text);
      this.lookUpText(index, text, { call, found });
    }
  }

  private lookUpText(
    index: FieldIndex,
    text: string | null,
    at: { readonly call: Call; readonly found: number[] },
  ): void {
    const entries = entriesOf(index, text);
    if (entries === undefined) return;
    for (const number of entries.settled) if (!at.found.includes(number)) at.found.push(number);
    for (const number of entries.tested) {
      if (!at.found.includes(number)) this.test(number, at.call, at.found);
    }
  }

  private bucket(kind: string, toolClass: string): Bucket {
    const classIndex = CLASS_INDEX.get(toolClass) ?? CLASS_INDEX.size;
    let byClass = this.buckets.get(kind);
    if (byClass === undefined) {
      byClass = [];
      // Kinds come from the schema's closed list; anything else is remembered nowhere.
      if (this.buckets.size < 64) this.buckets.set(kind, byClass);
    }
    return (byClass[classIndex] ??= this.makeBucket(kind, toolClass));
  }

  private makeBucket(kind: string, toolClass: string): Bucket {
    const always: number[] = [];
    const tested: number[] = [];
    const fields = new Map<string, Map<string, Entries>>();
    this.selections.forEach((selection, number) => {
      if (!isFor(selection, kind, toolClass)) return;
      const condition = indexable(selection);
      if (selection.tests.length === 0) always.push(number);
      else if (condition === undefined) tested.push(number);
      else
        addByValue(fields, condition, { number, settles: selection.tests.length === 1 && !condition.cased });
    });
    const byField = [...fields].map(([name, byValue]) => ({
      reader: fieldReader(name) as FieldReader,
      byValue,
    }));
    return { always, byField, tested };
  }
}

const NONE: readonly number[] = [];

function entriesOf(index: FieldIndex, text: string | null): Entries | undefined {
  if (text === null) return undefined;
  return index.byValue.get(text) ?? index.byValue.get(text.toLowerCase());
}

function addByValue(
  fields: Map<string, Map<string, Entries>>,
  { field, values }: Condition,
  { number, settles }: { readonly number: number; readonly settles: boolean },
): void {
  const byValue = fields.get(field) ?? new Map<string, Entries>();
  fields.set(field, byValue);
  for (const text of new Set(values.map((value) => String(value).toLowerCase()))) {
    const entries = byValue.get(text) ?? { settled: [], tested: [] };
    byValue.set(text, entries);
    (settles ? entries.settled : entries.tested).push(number);
  }
}
