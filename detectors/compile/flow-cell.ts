/**
 * What a flow field of a call holds. Most calls that a rule follows values from or to meet nothing to be compared with,
 * and taking a body apart is the dearest thing that detection does: so a cell keeps the value, and makes the
 * fingerprints when a comparison asks. A short value costs less to take apart than to keep, and one that is long would
 * hold too much memory: both are taken apart at once.
 */
import { fingerprintsOfSink, fingerprintsOfSource } from '../flow/fingerprints.ts';
import { Fingerprints } from '../flow/list.ts';
import { FlowValue } from '../flow/value.ts';
import type { FlowReader } from './flow-field.ts';

/** Characters between which a value is kept until somebody asks. */
export const MIN_KEPT_CHARACTERS = 256;
export const MAX_KEPT_CHARACTERS = 16 * 1024;

/** The value taken apart last: several cells of one value are asked one after another. */
let lastHeld: HeldValue | undefined;
let lastTaken: FlowValue | undefined;

/** A value of an event, shared by all cells that are made of it. */
export class HeldValue {
  readonly value: unknown;
  private readonly sha256Hex: FlowReader['sha256Hex'];
  private id: string | undefined;
  private counted = -1;

  constructor(value: unknown, sha256Hex: FlowReader['sha256Hex']) {
    this.value = value;
    this.sha256Hex = sha256Hex;
  }

  /** Equal for equal values, and for no others that anybody could make. */
  get identity(): string {
    return (this.id ??= this.sha256Hex(JSON.stringify(this.value)));
  }

  /** Characters of its texts, counted no further than needed to know that it is too long to keep. */
  get size(): number {
    if (this.counted < 0) this.counted = sizeOf(this.value, MAX_KEPT_CHARACTERS + 1);
    return this.counted;
  }
}

function takenApart(held: HeldValue): FlowValue {
  if (lastHeld !== held || lastTaken === undefined) {
    lastHeld = held;
    lastTaken = new FlowValue(held.value);
  }
  return lastTaken;
}

/** Each member counts, so that a list of many short values is no short one. */
function sizeOf(value: unknown, most: number): number {
  if (typeof value === 'string') return value.length + 1;
  if (typeof value !== 'object' || value === null) return 8;
  let size = 1;
  for (const [name, member] of Object.entries(value)) {
    if (size >= most) break;
    size += name.length + sizeOf(member, most - size);
  }
  return size;
}

/** A cell in a snapshot: the value, or the list as text with the identity that the value had. */
export type PackedCell = { readonly value: unknown } | { readonly list: string; readonly id: string };

export class FlowCell {
  private readonly reader: FlowReader;
  private held: HeldValue | undefined;
  private written: string | undefined;
  private made: Fingerprints | undefined;
  private id: string | undefined;

  private constructor(reader: FlowReader) {
    this.reader = reader;
  }

  /** Of a value of an event; null where nothing in it could be told apart, as far as that is known at once. */
  static of(reader: FlowReader, held: HeldValue): FlowCell | null {
    const cell = new FlowCell(reader);
    cell.held = held;
    if (held.size > MIN_KEPT_CHARACTERS && held.size <= MAX_KEPT_CHARACTERS) return cell;
    return cell.fingerprints.isEmpty ? null : cell;
  }

  /** Of a list that was written down. */
  static ofText(reader: FlowReader, list: string, id?: string): FlowCell {
    const cell = new FlowCell(reader);
    cell.written = list;
    cell.id = id;
    return cell;
  }

  static unpack(reader: FlowReader, packed: PackedCell): FlowCell {
    if ('list' in packed) return FlowCell.ofText(reader, packed.list, packed.id);
    const cell = new FlowCell(reader);
    cell.held = new HeldValue(packed.value, reader.sha256Hex);
    return cell;
  }

  get fingerprints(): Fingerprints {
    if (this.made !== undefined) return this.made;
    if (this.held === undefined) return (this.made = Fingerprints.parse(this.written ?? ''));
    const { spec, via } = this.reader;
    const read = spec.side === 'source' ? fingerprintsOfSource : fingerprintsOfSink;
    this.made = read(takenApart(this.held), { via, minEntropy: spec.minEntropy });
    // Sources are told apart by it: asked later it would be another.
    if (spec.side === 'source') this.id = this.held.identity;
    this.held = undefined;
    return this.made;
  }

  /** Cells of equal values have equal identities. */
  get identity(): string {
    return (this.id ??= this.held?.identity ?? this.reader.sha256Hex(this.text));
  }

  /** The list as text. */
  get text(): string {
    return (this.written ??= this.fingerprints.text);
  }

  /** Whether this source has a value in common with that sink, which is looked at only where this one has any. */
  sharesWith(sink: FlowCell): boolean {
    return !this.fingerprints.isEmpty && this.fingerprints.sharesWith(sink.fingerprints);
  }

  /** Whether a bound left something out of either list, so that they might. */
  mayShareWith(sink: FlowCell): boolean {
    return this.fingerprints.isPartial || (!this.fingerprints.isEmpty && sink.fingerprints.isPartial);
  }

  toJSON(): PackedCell {
    return this.held === undefined ? { list: this.text, id: this.identity } : { value: this.held.value };
  }
}
