/**
 * Value flow as a field: its value is the fingerprints of what stands in another field, so that runs, facts and snapshots
 * carry it like any other value. Fingerprints tell that two values are one; they do not tell the value.
 */
import { fingerprintsOfSink, fingerprintsOfSource } from '../flow/fingerprints.ts';
import type { Fingerprints } from '../flow/list.ts';
import { FlowValue } from '../flow/value.ts';
import { parseVia, type Via } from '../flow/via.ts';
import { fieldReader, type FieldSource } from './fields.ts';

export interface FlowSpec {
  readonly side: 'source' | 'sink';
  readonly field: string;
  readonly via: readonly string[];
  readonly minEntropy: number;
}

export type FlowFieldOutcome =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'fault'; readonly message: string; readonly hint: string };

interface FlowReader {
  readonly spec: FlowSpec;
  readonly via: readonly Via[];
}

const PREFIX = 'flow:';
const readers = new Map<string, FlowReader>();

/** Name of the field that holds the fingerprints; the same spec gives the same name. */
export function flowField(spec: FlowSpec): FlowFieldOutcome {
  const via: Via[] = [];
  for (const text of spec.via) {
    const outcome = parseVia(text);
    if (outcome.kind === 'fault') return outcome;
    via.push(outcome.via);
  }
  const sorted = spec.via.toSorted();
  const name = `${PREFIX}${spec.side}:${sorted.join(',')}:${spec.minEntropy}:${spec.field}`;
  // Names come from rule files, not from events.
  readers.set(name, { spec, via });
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

/** Flow fields of one event. Rules ask for the same ones, and several are read of one value: it is taken apart once. */
export class FlowFields {
  private readonly source: FieldSource;
  private readonly values = new Map<string, FlowValue | null>();
  private readonly read = new Map<string, Fingerprints | null>();

  constructor(source: FieldSource) {
    this.source = source;
  }

  /** The fingerprints, null where the field holds nothing that could be told apart. */
  fingerprints(name: string): Fingerprints | null {
    let made = this.read.get(name);
    if (made === undefined) this.read.set(name, (made = this.make(name)));
    return made;
  }

  private make(name: string): Fingerprints | null {
    const reader = readers.get(name);
    const value = reader === undefined ? null : this.value(reader.spec.field);
    if (reader === undefined || value === null) return null;
    const { side, minEntropy } = reader.spec;
    const read = side === 'source' ? fingerprintsOfSource : fingerprintsOfSink;
    const made = read(value, { via: reader.via, minEntropy });
    return made.isEmpty ? null : made;
  }

  private value(field: string): FlowValue | null {
    let value = this.values.get(field);
    if (value === undefined) {
      const raw = fieldReader(field)?.read(this.source) ?? null;
      this.values.set(field, (value = raw === null ? null : new FlowValue(raw)));
    }
    return value;
  }
}
