/** EQL's state machine against every valid choice of events: it may lose chains, it must never find one that is none. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchEql } from '../../../detectors/eql/match.ts';
import {
  queryOf,
  sequences,
  streams,
  validChains,
  type RandomSequence,
  type StreamEvent,
} from './random-queries.ts';

const FIELDS = { id: 'id', category: 'kind', timestamp: 'time' };
const PAIRS = 10_000;

type Part = 'plain' | 'until' | 'missing first' | 'missing between' | 'missing last';

function partsOf({ missingAt, hasUntil, steps }: RandomSequence): Part[] {
  if (missingAt === undefined) return [hasUntil ? 'until' : 'plain'];
  if (missingAt === 0) return ['missing first'];
  return [missingAt === steps.length ? 'missing last' : 'missing between'];
}

function matched(sequence: RandomSequence, events: readonly StreamEvent[]): string[][] {
  const rows = events.map((event) => ({ ...event }));
  return matchEql(queryOf(sequence), rows, FIELDS).map(({ ids }) =>
    ids.filter((id) => id !== -1).map(String),
  );
}

interface Tally {
  valid: number;
  lost: number;
}

test(`${PAIRS} random rules and streams: every difference is a completing event that EQL loses`, (t) => {
  const tallies = new Map<Part, Tally>();
  fc.assert(
    fc.property(sequences, streams, (sequence, events) => {
      const chains = validChains(sequence, events).map((chain) => chain.map(({ id }) => id).join(','));
      const found = matched(sequence, events);
      for (const ids of found)
        assert.ok(chains.includes(ids.join(',')), `${queryOf(sequence)}: ${ids.join(',')} is no valid chain`);
      // What counts is the completing event: EQL tells one chain for it, there may be several.
      const completing = new Set(chains.map((chain) => chain.split(',').at(-1)));
      const told = new Set(found.map((ids) => ids.at(-1)));
      for (const part of partsOf(sequence)) {
        const tally = tallies.get(part) ?? { valid: 0, lost: 0 };
        tally.valid += completing.size;
        tally.lost += [...completing].filter((id) => !told.has(id)).length;
        tallies.set(part, tally);
      }
    }),
    { numRuns: PAIRS },
  );
  let [valid, lost] = [0, 0];
  for (const [part, tally] of tallies) {
    t.diagnostic(`${part}: EQL loses ${tally.lost} of ${tally.valid}`);
    assert.ok(tally.lost > 20, `${part}: only ${tally.lost} lost, the comparison would prove little`);
    valid += tally.valid;
    lost += tally.lost;
  }
  t.diagnostic(`EQL loses ${lost} of ${valid} completing events (${Math.round((100 * lost) / valid)} %)`);
  assert.equal(tallies.size, 5);
});

/** `A B !M C`, 60s. */
function readSequence(text: string): RandomSequence {
  const [, terms = '', seconds = ''] = /^`([^`]+)`, (\d+)s$/.exec(text) ?? [];
  const letters = terms.split(' ');
  const missingAt = letters.indexOf('!M');
  return {
    steps: letters.filter((letter) => letter !== '!M'),
    maxSpanMs: Number(seconds) * 1000,
    missingAt: missingAt < 0 ? undefined : missingAt,
    hasUntil: false,
  };
}

const bare = (cell: string): string => cell.replaceAll('`', '');

test('the worked examples of the README are so', () => {
  const readme = readFileSync(resolve(import.meta.dirname, '../../../detectors/eql/README.md'), 'utf8');
  const rows = readme
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter((cells) => cells.length === 7 && /^`[^`]+`, \d+s$/.test(cells[2] ?? ''));
  assert.equal(rows.length, 5);
  for (const [, why = '', sequenceText = '', stream = '', told = '', lost = ''] of rows) {
    const sequence = readSequence(sequenceText);
    const events = bare(stream)
      .split(' ')
      .map((id) => ({ id, kind: id.slice(0, 1), time: Number(id.slice(1)) * 1000 }));
    const found = matched(sequence, events).map((ids) => ids.join(','));
    assert.deepEqual(found, bare(told) === '-' ? [] : bare(told).split(' '), why);
    const chains = validChains(sequence, events).map((chain) => chain.map(({ id }) => id).join(','));
    assert.ok(chains.includes(bare(lost)), `${why}: ${chains.join(' ')}`);
    const completing = bare(lost).split(',').at(-1);
    assert.ok(
      found.every((chain) => chain.split(',').at(-1) !== completing),
      why,
    );
  }
});
