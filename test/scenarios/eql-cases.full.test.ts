/**
 * Cases of the makers of EQL, where they lie beside the project (their licences keep them out of it): every one must give the
 * expected events. Where they do not lie, the same machinery runs over a case of our own, so that nothing passes unseen.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite, test } from 'node:test';
import { matchEql } from '../../detectors/eql/match.ts';
import { SequenceMachine, type Hit } from '../../detectors/eql/sequence.ts';

const FOLDER = process.env['TRIPLINE_EQL_CASES'] ?? resolve(import.meta.dirname, '../../../shared/data/eql');

interface QueryCase {
  readonly name: string;
  readonly dataset: string;
  readonly query: string;
  readonly expected_event_ids: readonly number[];
  readonly tiebreaker?: string;
  readonly id_field: string;
  readonly category_field: string;
}

interface StageCase {
  readonly name: string;
  readonly stages: number;
  readonly events: readonly {
    readonly ts: number;
    readonly stage: number;
    readonly key: string | null;
    readonly id: string;
  }[];
  readonly expected: readonly { readonly key: string | null; readonly ids: readonly string[] }[];
}

type Rows = readonly Readonly<Record<string, unknown>>[];

const read = (name: string): unknown => JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));

const OWN_ROWS: Rows = [
  { n: 1, kind: 'fetch', when: 1_000, run: 'r' },
  { n: 2, kind: 'read', when: 2_000, run: 'r' },
  { n: 3, kind: 'read', when: 2_000, run: 's' },
  { n: 4, kind: 'post', when: 3_000, run: 'r' },
];
const OWN_CASE: QueryCase = {
  name: 'three steps of one run',
  dataset: 'own',
  query: 'sequence by run [fetch where true] [read where n < 9] [post where true]',
  expected_event_ids: [1, 2, 4],
  tiebreaker: 'n',
  id_field: 'n',
  category_field: 'kind',
};
const OWN_STAGES: StageCase = {
  name: 'the newest beginning wins',
  stages: 2,
  events: [
    { ts: 1, stage: 1, key: 'k', id: 'first' },
    { ts: 2, stage: 1, key: 'k', id: 'newer' },
    { ts: 3, stage: 2, key: 'other', id: 'not mine' },
    { ts: 4, stage: 2, key: 'k', id: 'end' },
  ],
  expected: [{ key: 'k', ids: ['newer', 'end'] }],
};

function idsOf(one: QueryCase, rows: Rows): unknown[] {
  const timestamp =
    one.dataset === 'own' ? 'when' : 'timestamp' in (rows[0] ?? {}) ? 'timestamp' : '@timestamp';
  return matchEql(one.query, rows, {
    id: one.id_field,
    category: one.category_field,
    timestamp,
    tiebreaker: one.tiebreaker,
  }).flatMap(({ ids }) => ids);
}

function stagesOf(one: StageCase): unknown[] {
  const machine = new SequenceMachine<{ moment: { ms: number; restNs: number }; id: string }>({
    stages: one.stages,
  });
  return one.events.flatMap(({ ts, stage, key, id }) => {
    const hit: Hit = { stage: stage - 1, keys: [JSON.stringify(key)] };
    return machine
      .accept({ moment: { ms: ts, restNs: 0 }, id }, [hit], [])
      .map((done) => ({ key: JSON.parse(done.key) as unknown, ids: done.events.map((event) => event.id) }));
  });
}

const hasCases = existsSync(join(FOLDER, 'sequence_cases.json'));
const queryCases = hasCases ? (read('sequence_cases.json') as readonly QueryCase[]) : [OWN_CASE];
const stageCases = hasCases ? (read('series_spec_cases.json') as readonly StageCase[]) : [OWN_STAGES];

suite(hasCases ? 'cases of the makers of EQL' : 'own cases: those of the makers of EQL are not here', () => {
  test(`${queryCases.length} queries`, (t) => {
    const failed = queryCases.flatMap((one) => {
      const rows = one.dataset === 'own' ? OWN_ROWS : (read(`datasets/${one.dataset}.json`) as Rows);
      const actual = idsOf(one, rows);
      return JSON.stringify(actual) === JSON.stringify(one.expected_event_ids)
        ? []
        : [{ name: one.name, actual }];
    });
    assert.deepEqual(failed, []);
    t.diagnostic(`${queryCases.length} of ${queryCases.length} queries give the expected events`);
  });
  test(`${stageCases.length} streams of stages`, () => {
    for (const one of stageCases) assert.deepEqual(stagesOf(one), one.expected, one.name);
  });
});
