/**
 * Facts: what stage one forwards of an event to stage two. A fact names the selections that it matches (by hash) and
 * carries the values that tenant rules join on; never a body.
 */
import { z } from 'zod';
import { zCallReference } from '../../schemas/alert/v1.ts';
import type { Call } from '../../detectors/engine/call.ts';
import type { KeptCalls } from '../../detectors/engine/kept-calls.ts';
import type { FieldReader } from '../../detectors/compile/fields.ts';
import type { Selection } from '../../detectors/compile/rule.ts';
import { FlowCell } from '../../detectors/compile/flow-cell.ts';
import { flowReader } from '../../detectors/compile/flow-field.ts';

export const FORMAT_FACTS = 'facts/1';
export const FORMAT_WATERMARK = 'watermark/1';

export const zFact = z.strictObject({
  kind: z.string(),
  toolClass: z.string(),
  timeMs: z.number(),
  appendMs: z.number(),
  callKey: z.string(),
  matches: z.array(z.string()),
  values: z.record(z.string(), z.string()),
  reference: zCallReference.omit({ step: true }),
  /** A part of a long body. */
  continues: z.literal(true).optional(),
  /** Place in the order of its source where that is not the event's own: an alert comes after the record that told it. */
  at: z.strictObject({ offset: z.number().int(), line: z.number().int() }).optional(),
});
export type Fact = z.infer<typeof zFact>;

export const zWatermark = z.strictObject({
  /** Partition of topic toolcalls. */
  source: z.number().int().min(0),
  watermarkMs: z.number(),
});
export type Watermark = z.infer<typeof zWatermark>;

/** A fact as the matcher sees it. */
export class FactCall implements Call {
  readonly tenant: string;
  readonly fact: Fact;
  readonly fits: ReadonlySet<string>;

  constructor(tenant: string, fact: Fact) {
    this.tenant = tenant;
    this.fact = fact;
    this.fits = new Set(fact.matches);
  }

  get kind(): string {
    return this.fact.kind;
  }
  get toolClass(): string {
    return this.fact.toolClass;
  }
  get timeMs(): number {
    return this.fact.timeMs;
  }
  get appendMs(): number {
    return this.fact.appendMs;
  }
  get partition(): number {
    return this.fact.reference.partition;
  }
  get offset(): number {
    return this.fact.reference.offset;
  }
  get line(): number {
    return this.fact.reference.line;
  }
  get callKey(): string {
    return this.fact.callKey;
  }
  get continues(): boolean {
    return this.fact.continues === true;
  }

  matches(selection: Selection): boolean {
    return this.fits.has(selection.hash);
  }

  read(reader: FieldReader): unknown {
    return this.value(reader.name);
  }

  value(field: string): string | null {
    return Object.hasOwn(this.fact.values, field) ? (this.fact.values[field] ?? null) : null;
  }

  flow(field: string): FlowCell | null {
    const text = this.value(field);
    const reader = flowReader(field);
    return text === null || reader === undefined ? null : FlowCell.ofText(reader, text);
  }

  reference(): Fact['reference'] {
    return this.fact.reference;
  }

  keep(into: KeptCalls, at: number): void {
    const { reference } = this.fact;
    into.put(at, { reference: () => reference });
  }
}

/** Order in which stage two releases facts. */
export function compareFacts(a: Fact, b: Fact): number {
  return (
    a.appendMs - b.appendMs ||
    a.reference.partition - b.reference.partition ||
    comparePositions(placeOf(a), placeOf(b))
  );
}

/** Where a fact stands among those of its source. */
export function placeOf(fact: Fact): Position {
  return fact.at ?? fact.reference;
}

export interface Position {
  readonly offset: number;
  readonly line: number;
}

export function comparePositions(a: Position, b: Position): number {
  return a.offset - b.offset || a.line - b.line;
}
