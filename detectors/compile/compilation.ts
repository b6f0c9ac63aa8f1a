/** One compilation of one rule: collects faults so that a person sees all of them at once. */
import { durationMs, MAX_STEPS, type RuleSource } from '../../schemas/rule/v1.ts';
import { fieldReader } from './fields.ts';
import type { Selection } from './rule.ts';

/** SHA-256 of a UTF-8 text, 64 lower-case hex digits. */
export type HashText = (text: string) => string;

export interface CompileOptions {
  readonly sha256Hex: HashText;
  /** Operator's `$name` lists; they replace the rule's own defaults. */
  readonly lists?: Readonly<Record<string, readonly string[]>>;
  /** The rule comes with the package, whose tests compile its patterns: here they are compiled when first needed. */
  readonly isShipped?: boolean;
}

export type Place = readonly (string | number)[];

/** A fault before it has a file and a line. `at` is the path in the rule. */
export interface CompileFault {
  readonly at: Place;
  readonly message: string;
  readonly hint: string;
}

/** An element of an assignment before joins are known. */
export interface Element {
  readonly name: string;
  readonly event: string;
  readonly gapMs: number;
  readonly optional: boolean;
}

type SequenceStep = NonNullable<RuleSource['sequence']>[number];

export class Compilation {
  readonly faults: CompileFault[] = [];
  readonly source: RuleSource;
  readonly options: CompileOptions;
  readonly lists: ReadonlyMap<string, readonly string[]>;
  readonly selections = new Map<string, Selection>();
  readonly elements: readonly Element[];
  /** Patterns of its own are known to compile; with a list of the operator's they may be others. */
  readonly areTried: boolean;
  private readonly last: number;
  /** Names of steps that stand more than once though nobody repeated them. */
  private readonly ambiguous: ReadonlySet<string>;

  constructor(source: RuleSource, options: CompileOptions) {
    this.source = source;
    this.options = options;
    this.lists = new Map([...Object.entries(source.lists), ...Object.entries(options.lists ?? {})]);
    const isOwn = (name: string): boolean => !Object.hasOwn(options.lists ?? {}, name);
    this.areTried = options.isShipped === true && Object.keys(source.lists).every(isOwn);
    const names = sourceNames(source);
    this.ambiguous = new Set(names.filter((name, index) => names.indexOf(name) !== index));
    this.last = (source.sequence?.length ?? 0) - 1;
    this.elements = this.expand();
  }

  fault(at: Place, message: string, hint: string): void {
    this.faults.push({ at, message, hint });
  }

  /** Indexes of the elements that a step name means; none, with a fault, where it means nothing or too much. */
  elementsOf(name: string, at: Place): readonly number[] {
    const found = this.elements.flatMap((element, index) => (element.name === name ? [index] : []));
    if (found.length === 0) {
      const names = [...new Set(this.elements.map((element) => element.name))].join(', ');
      this.fault(at, `${name} is no step of the rule`, `steps are ${names}`);
    } else if (this.ambiguous.has(name)) {
      this.fault(at, `${name} stands twice in the sequence`, 'name the second one: { event: …, as: … }');
    }
    return found;
  }

  field(name: string, at: Place): string {
    if (fieldReader(name) === undefined)
      this.fault(at, `there is no field ${name}`, 'see the table of fields');
    return name;
  }

  selection(name: string, at: Place): Selection | undefined {
    const selection = this.selections.get(name);
    if (selection === undefined) {
      const names = Object.keys(this.source.events).join(', ');
      // A selection that is there but at fault has been told already.
      if (!Object.hasOwn(this.source.events, name))
        this.fault(at, `there is no event ${name}`, `define it under events; there are ${names}`);
    }
    return selection;
  }

  private expand(): Element[] {
    const { sequence, all_of: members, any_of: statistics } = this.source;
    const plain = (event: string, name = event): Element => ({
      name,
      event,
      gapMs: Number.POSITIVE_INFINITY,
      optional: false,
    });
    if (members !== undefined) return members.map((event) => plain(event));
    if (statistics !== undefined) {
      return statistics.map((statistic) => {
        const kind = Object.keys(statistic)[0] ?? 'count';
        if ('count' in statistic) return plain(statistic.count, kind);
        return plain('rate' in statistic ? statistic.rate : statistic.event, kind);
      });
    }
    const elements = (sequence ?? []).flatMap((step, index) => this.expandStep(step, index));
    if (elements.length > MAX_STEPS) {
      const message = `${elements.length} steps once repeats are written out`;
      this.fault(['sequence'], message, `at most ${MAX_STEPS}; count with any_of instead`);
    }
    return elements;
  }

  private expandStep(step: SequenceStep, index: number): Element[] {
    if (typeof step === 'string') {
      return [{ name: step, event: step, gapMs: Number.POSITIVE_INFINITY, optional: false }];
    }
    const isEnd = index === 0 || index === this.last;
    const optional = step.optional === true;
    this.checkOptional(step, ['sequence', index], isEnd);
    const gapMs = step.within === undefined ? Number.POSITIVE_INFINITY : (durationMs(step.within) ?? 0);
    const element = { name: step.as ?? step.event, event: step.event, gapMs };
    const { min, max = min } = step.repeat ?? { min: 1 };
    // More than `min` of the first or last step never decide: a later start or an earlier end fits every window as well.
    const extra = isEnd ? 0 : max - min;
    return [
      ...Array.from({ length: min }, () => ({ ...element, optional })),
      ...Array.from({ length: extra }, () => ({ ...element, optional: true })),
    ];
  }

  private checkOptional(step: Exclude<SequenceStep, string>, at: Place, isEnd: boolean): void {
    if (step.optional !== true) return;
    if (isEnd) this.fault(at, 'the first or last step is optional', 'leave it out: it never decides');
    if (step.repeat !== undefined) {
      this.fault(at, 'a step is optional and repeated', 'choose one of them');
    }
  }
}

function sourceNames(source: RuleSource): string[] {
  if (source.all_of !== undefined) return source.all_of;
  return (source.sequence ?? []).map((step) => (typeof step === 'string' ? step : (step.as ?? step.event)));
}
