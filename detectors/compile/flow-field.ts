/**
 * Value flow as a field: its value is the fingerprints of what stands in another field, so that runs, facts and snapshots
 * carry it like any other value. Fingerprints tell that two values are one; they do not tell the value.
 */
import { parseVia, type Via } from '../flow/via.ts';
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
  readonly sha256Hex: (text: string) => string;
}

const PREFIX = 'flow:';
const readers = new Map<string, FlowReader>();

/** Name of the field that holds the fingerprints; the same spec gives the same name. */
export function flowField(spec: FlowSpec, sha256Hex: FlowReader['sha256Hex']): FlowFieldOutcome {
  const via: Via[] = [];
  for (const text of spec.via) {
    const outcome = parseVia(text);
    if (outcome.kind === 'fault') return outcome;
    via.push(outcome.via);
  }
  const sorted = spec.via.toSorted();
  const name = `${PREFIX}${spec.side}:${sorted.join(',')}:${spec.minEntropy}:${spec.field}`;
  // Names come from rule files, not from events.
  readers.set(name, { name, spec, via, sha256Hex });
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

  private value({ spec, sha256Hex }: FlowReader): HeldValue | null {
    const { field } = spec;
    let value = this.values.get(field);
    if (value === undefined) {
      const raw = fieldReader(field)?.read(this.source) ?? null;
      this.values.set(field, (value = raw === null ? null : new HeldValue(raw, sha256Hex)));
    }
    return value;
  }
}
