/**
 * Value flow as a field: its value is the fingerprints of what stands in another field, so that runs, facts and snapshots
 * carry it like any other value. Fingerprints tell that two values are one; they do not tell the value.
 */
import { LABEL_WAYS, parseVia, type Via } from '../flow/via.ts';
import { effectiveLabels, secretPart } from '../labels/effective.ts';
import { fieldReader, type FieldSource } from './fields.ts';
import { FlowCell, HeldValue } from './flow-cell.ts';

export interface FlowSpec {
  readonly side: 'source' | 'sink';
  readonly field: string;
  readonly via: readonly string[];
  readonly minEntropy: number;
}

export type FlowFieldOutcome =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'fault'; readonly message: string; readonly hint: string };

export interface FlowReader {
  readonly name: string;
  readonly spec: FlowSpec;
  readonly via: readonly Via[];
  /** Only what carries label secret is a source. */
  readonly labelled: boolean;
  readonly sha256Hex: (text: string) => string;
}

const PREFIX = 'flow:';
/** No name of a field begins so. */
const LABELLED = 'label:';
const readers = new Map<string, FlowReader>();

/** Name of the field that holds the fingerprints; the same spec gives the same name. */
export function flowField(spec: FlowSpec, sha256Hex: FlowReader['sha256Hex']): FlowFieldOutcome {
  const via: Via[] = [];
  let labelled = false;
  for (const text of spec.via) {
    const outcome = parseVia(text);
    if (outcome.kind === 'fault') return outcome;
    if (outcome.kind === 'via') via.push(outcome.via);
    else labelled = true;
  }
  if (labelled && via.length === 0) via.push(...LABEL_WAYS);
  const sorted = spec.via.toSorted();
  const name = `${PREFIX}${spec.side}:${sorted.join(',')}:${spec.minEntropy}:${spec.field}`;
  // Names come from rule files, not from events.
  readers.set(name, { name, spec, via, labelled: labelled && spec.side === 'source', sha256Hex });
  return { kind: 'field', name };
}

/** Whether the field is one of flowField's. */
export function isFlowField(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** What the fingerprints are of; undefined for any other field. */
export function flowSpec(name: string): FlowSpec | undefined {
  return readers.get(name)?.spec;
}

/** How the fingerprints are made, and of what; undefined for any other field. */
export function flowReader(name: string): FlowReader | undefined {
  return readers.get(name);
}

/** Flow fields of one event. Rules ask for the same ones, and several are read of one value: it is taken apart once. */
export class FlowFields {
  private readonly source: FieldSource;
  private readonly values = new Map<string, HeldValue | null>();
  private readonly cells = new Map<string, FlowCell | null>();

  constructor(source: FieldSource) {
    this.source = source;
  }

  /** Null where the field holds nothing that could be told apart. */
  cell(name: string): FlowCell | null {
    let made = this.cells.get(name);
    if (made === undefined) this.cells.set(name, (made = this.make(name)));
    return made;
  }

  private make(name: string): FlowCell | null {
    const reader = readers.get(name);
    const value = reader === undefined ? null : this.value(reader);
    return reader === undefined || value === null ? null : FlowCell.of(reader, value);
  }

  private value(reader: FlowReader): HeldValue | null {
    const { spec, labelled, sha256Hex } = reader;
    const name = labelled ? `${LABELLED}${spec.field}` : spec.field;
    let value = this.values.get(name);
    if (value === undefined) {
      const raw = this.raw(reader);
      this.values.set(name, (value = raw === null ? null : new HeldValue(raw, sha256Hex)));
    }
    return value;
  }

  private raw({ spec, labelled }: FlowReader): unknown {
    const { source } = this;
    const raw = fieldReader(spec.field)?.read(source) ?? null;
    if (!labelled || raw === null) return raw;
    return secretPart(source, raw, source.effectiveLabels?.() ?? effectiveLabels(source)) ?? null;
  }
}
