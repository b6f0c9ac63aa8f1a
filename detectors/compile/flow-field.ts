/**
 * Value flow as a field: its value is the fingerprints of what stands in another field, so that runs, facts and snapshots
 * carry it like any other value. Fingerprints tell that two values are one; they do not tell the value.
 */
import { sinkFingerprints, sourceFingerprints } from '../flow/fingerprints.ts';
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

/** The fingerprints as text, null where the field holds nothing that could be told apart. */
export function readFlowField(name: string, source: FieldSource): string | null {
  const reader = readers.get(name);
  if (reader === undefined) return null;
  const value = fieldReader(reader.spec.field)?.read(source);
  if (value === undefined || value === null) return null;
  const read = reader.spec.side === 'source' ? sourceFingerprints : sinkFingerprints;
  const text = read(value, reader.via, reader.spec.minEntropy);
  return text === '' ? null : text;
}
