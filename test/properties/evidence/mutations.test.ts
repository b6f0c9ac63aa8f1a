/**
 * A real bundle of several tenants, streams and kinds of entries, and one change of one value in it: a column, a byte of a
 * leaf or a checkpoint, a head, a signature, an order, a line. None verifies. Values that no signature covers, because
 * they say nothing of the ledger (when a bundle was made, what is pending), are not among them.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { verifyBundle } from '../../../services/evidence/verify.ts';
import { nodeCrypto } from '../../../services/platform/ledger/crypto.ts';
import {
  append,
  callLine,
  exported,
  openBench,
  recordOf,
  runWriter,
} from '../../integration/record/harness.ts';
import type { Bench } from '../../integration/record/harness.ts';
import { openRoot } from '../../support/tlog/root-log.ts';

type Line = Record<string, unknown> & { readonly type: string };
type Row = Record<string, unknown>;

const TABLES = ['ledger', 'payloads', 'events', 'deadLetters'] as const;
/** Signatures of producers: these records bring none. */
const UNUSED = 'batch';

/** Another value of the same kind; never one that means the same. */
function other(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'string') return /^[0-9a-f]{32,}$/.test(value) ? flipped(value) : `${value}1`;
  if (Array.isArray(value)) return [...(value as unknown[]), 'another'];
  return value === null ? 1 : null;
}

/** One digit of a hash. */
function flipped(hex: string): string {
  const at = hex.length - 3;
  return `${hex.slice(0, at)}${hex[at] === '0' ? '1' : '0'}${hex.slice(at + 1)}`;
}

/** One bit of what base64 stands for. */
function flippedBytes(base64: string, at: number): string {
  const bytes = Buffer.from(base64, 'base64');
  bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ 1;
  return bytes.toString('base64');
}

interface Mutation {
  readonly name: string;
  readonly apply: (lines: Line[], pick: number) => Line[];
}

const at = <Value>(values: readonly Value[], pick: number): Value => values[pick % values.length] as Value;
const indexesOf = (lines: readonly Line[], type: string): number[] =>
  lines.flatMap((line, index) => (line.type === type ? [index] : []));

function column(lines: Line[], pick: number): Line[] {
  const index = at(indexesOf(lines, 'rows'), pick);
  const line = lines[index] as Line;
  const table = at(
    TABLES.filter((name) => ((line[name] as Row[] | undefined) ?? []).length > 0),
    Math.floor(pick / 64),
  );
  const [row] = line[table] as [Row];
  const name = at(
    Object.keys(row).filter((key) => key !== UNUSED),
    Math.floor(pick / 4096),
  );
  const value = name === 'bytes' || name === 'raw' ? flippedBytes(String(row[name]), pick) : other(row[name]);
  return lines.with(index, { ...line, [table]: [{ ...row, [name]: value }] });
}

function head(lines: Line[], pick: number): Line[] {
  const header = lines[0] as Line;
  const lists = header['heads'] as Row[];
  const list = at(lists, pick);
  const heads = list['heads'] as Row[];
  const one = at(heads, Math.floor(pick / 8));
  const field = at(['logId', 'origin', 'size', 'root', 'lastLeafHash'], Math.floor(pick / 64));
  const changed = { ...list, heads: heads.with(heads.indexOf(one), { ...one, [field]: other(one[field]) }) };
  return lines.with(0, { ...header, heads: lists.with(lists.indexOf(list), changed) });
}

function signature(lines: Line[], pick: number): Line[] {
  const header = lines[0] as Line;
  const lists = header['heads'] as Row[];
  const list = at(lists, pick);
  const changed = { ...list, signature: flippedBytes(String(list['signature']), pick) };
  return lines.with(0, { ...header, heads: lists.with(lists.indexOf(list), changed) });
}

function swap(lines: Line[], pick: number): Line[] {
  const rows = indexesOf(lines, 'rows');
  const first = rows.filter((index) => rows.includes(index + 1))[pick % (rows.length - 2)] ?? rows[0]!;
  const [a, b] = [lines[first] as Line, lines[first + 1] as Line];
  return lines.with(first, { ...b, idx: a['idx'] }).with(first + 1, { ...a, idx: b['idx'] });
}

const MUTATIONS: readonly Mutation[] = [
  { name: 'column', apply: column },
  { name: 'head', apply: head },
  { name: 'signature', apply: signature },
  { name: 'order of two rows', apply: swap },
  { name: 'row left out', apply: (lines, pick) => lines.toSpliced(at(indexesOf(lines, 'rows'), pick), 1) },
  {
    name: 'row twice',
    apply: (lines, pick) => {
      const index = at(indexesOf(lines, 'rows'), pick);
      return lines.toSpliced(index, 0, lines[index] as Line);
    },
  },
  {
    name: 'byte of the root log',
    apply: (lines, pick) => {
      const index = at(indexesOf(lines, 'root_entries'), pick);
      const line = lines[index] as Line;
      return lines.with(index, { ...line, bundle: flippedBytes(String(line['bundle']), pick) });
    },
  },
  {
    name: 'checkpoint of the root log',
    apply: (lines, pick) => {
      const [index = 0] = indexesOf(lines, 'root');
      const line = lines[index] as Line;
      const text = String(line['checkpoint']);
      // Within what is signed: origin, size, root.
      const place = pick % (text.indexOf('\n\n') - 1);
      const changed = text[place] === 'A' ? 'B' : 'A';
      const checkpoint = `${text.slice(0, place)}${changed}${text.slice(place + 1)}`;
      return lines.with(index, { ...line, checkpoint });
    },
  },
];

describe('one change of a bundle', () => {
  let bench: Bench;
  let sound: Line[];
  before(async () => {
    bench = await openBench();
    await append(bench, [
      recordOf('a', 0, [callLine('a', 0), callLine('a', 1), '{"broken"']),
      recordOf('b', 0, [callLine('b', 0)], { tenant: 'other' }),
      recordOf('a', 1, [callLine('a', 1, { tool: 'other' })]),
      recordOf('a', 5, [callLine('a', 5), callLine('a', 6, { kind: 'call.result', outcome: 'ok' })]),
      recordOf('c', 0, [callLine('c', 0, { labels: ['pii'], durationMs: 3 })]),
    ]);
    await runWriter(bench, bench);
    bench.signer.root = await openRoot(bench.dir, bench.signer);
    const chunks: Uint8Array[] = [];
    for await (const chunk of exported(bench)) chunks.push(chunk);
    const lines = Buffer.concat(chunks).toString().trimEnd().split('\n');
    sound = lines.map((line) => JSON.parse(line) as Line);
  });
  after(() => bench.close());

  async function report(lines: readonly Line[]) {
    async function* source() {
      yield Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    }
    return await verifyBundle(source(), nodeCrypto, { publicKeys: [await bench.signer.publicKey()] });
  }

  it('is sound without one, up to the gap that its stream announced', async () => {
    const { firstFault, exitCode } = await report(sound);
    assert.deepEqual([firstFault, exitCode], [null, 20]);
    assert.ok(indexesOf(sound, 'root_entries').length > 0);
  });

  for (const { name, apply } of MUTATIONS)
    it(`${name}: never verifies`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(1 << 24), async (pick) => {
          const { firstFault } = await report(apply(sound, pick));
          assert.notEqual(firstFault, null);
        }),
        { numRuns: name === 'column' ? 400 : 60 },
      );
    });
});
