/** Entries and prefixes of one state as plain JSON: each entry and node once, then by number. */
import { Buckets } from './buckets.ts';
import type { Entry, Node, Prefixes } from './prefixes.ts';

export type PackedNode = readonly [
  startMs: number,
  lastMs: number,
  step: number,
  entry: number,
  prev: number,
  signature: string,
];
/** Buckets by state: value and node numbers. */
export type PackedPrefixes = readonly (readonly (readonly [string, readonly number[]])[])[];

export class Packer<Kept extends Entry> {
  /** Those given at first, then every other that a node or a counter holds. */
  readonly entries: Kept[];
  readonly nodes: PackedNode[] = [];
  private readonly entryNumbers = new Map<Entry, number>();
  private readonly nodeNumbers = new Map<Node, number>();

  constructor(listed: readonly Kept[]) {
    this.entries = [...listed];
    listed.forEach((entry, index) => this.entryNumbers.set(entry, index));
  }

  entry(entry: Kept): number {
    const known = this.entryNumbers.get(entry);
    if (known !== undefined) return known;
    this.entryNumbers.set(entry, this.entries.length);
    return this.entries.push(entry) - 1;
  }

  node(node: Node): number {
    const known = this.nodeNumbers.get(node);
    if (known !== undefined) return known;
    const prev = node.prev === null ? -1 : this.node(node.prev);
    const { startMs, lastMs, step, signature } = node;
    const packed: PackedNode = [startMs, lastMs, step, this.entry(node.entry as Kept), prev, signature];
    this.nodeNumbers.set(node, this.nodes.length);
    return this.nodes.push(packed) - 1;
  }

  prefixes(prefixes: Prefixes): PackedPrefixes {
    return prefixes.map((held) => {
      if (held === null) return [];
      if (!(held instanceof Buckets)) return [['', [this.node(held)]] as const];
      return [...held].map(([value, nodes]) => [value, nodes.map((node) => this.node(node))] as const);
    });
  }
}

/** The nodes again, over the entries that they had. */
export function unpackNodes(packed: readonly PackedNode[], entries: readonly Entry[]): Node[] {
  const nodes: Node[] = [];
  for (const [startMs, lastMs, step, entry, prev, signature] of packed) {
    const prevNode = nodes[prev] ?? null;
    nodes.push({ startMs, lastMs, step, entry: entries[entry] as Entry, prev: prevNode, signature });
  }
  return nodes;
}
