import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { EqlError } from '../../../detectors/eql/error.ts';
import { matchEql } from '../../../detectors/eql/match.ts';

interface Options {
  readonly dialect?: 'elasticsearch' | 'endgame';
  /** Fields of single events, by id. */
  readonly set?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** `A1 B2`: an event of category A at second 1, and so on; its id is the word. */
function ids(query: string, stream: string, { dialect, set = {} }: Options = {}): string {
  const events = stream.split(' ').map((word) => ({
    id: word,
    kind: word[0],
    time: Number(word.slice(1)) * 1000,
    ...set[word],
  }));
  const fields = { id: 'id', category: 'kind', timestamp: 'time', tiebreaker: 'tie' };
  return matchEql(query, events, { ...fields, dialect })
    .map((match) => match.ids.join(','))
    .join(' ');
}

const stages = (letters: string): string =>
  Array.from(letters, (letter) => `[${letter} where true]`).join(' ');
const AB = `sequence ${stages('AB')}`;

suite('EQL sequences', () => {
  test('one pending sequence a stage: the newest wins, a match uses it up', () => {
    assert.equal(ids(AB, 'A1 A2 B3 B4'), 'A2,B3');
    assert.equal(ids(AB, 'B1 A2 B3 A4 B5'), 'A2,B3 A4,B5');
    assert.equal(ids(`sequence ${stages('ABC')}`, 'A1 B2 A3 B4 C5 C6'), 'A3,B4,C5');
    assert.equal(ids(`sequence ${stages('ABC')}`, 'A1 B2 A3 C4 B5 C6'), 'A1,B2,C4 A3,B5,C6');
  });
  test('an event serves one stage: the last stages come first', () => {
    assert.equal(ids('sequence [any where true] [any where true]', 'A1 B2 C3'), 'A1,B2 B2,C3');
    assert.equal(ids('sequence [A where true] with runs=3', 'A1 A2 B3 A4 A5'), 'A1,A2,A4 A2,A4,A5');
  });
  test('maxspan counts from first to last and holds at its end', () => {
    const query = `sequence with maxspan=2s ${stages('ABC')}`;
    assert.equal(ids(query, 'A1 B2 C3'), 'A1,B2,C3');
    assert.equal(ids(query, 'A1 B2 C4'), '');
    const ns = {
      A1: { time: '2026-01-01T00:00:00.000000001Z' },
      B2: { time: '2026-01-01T00:00:01.000000002Z' },
    };
    assert.equal(ids(`sequence with maxspan=1s ${stages('AB')}`, 'A1 B2', { set: ns }), '');
  });
  test('until clears the key after the match of its own event', () => {
    assert.equal(ids(`${AB} until [U where true]`, 'A1 U2 B3 A4 B5 U6'), 'A4,B5');
    assert.equal(ids(`${AB} until [B where true]`, 'A1 B2'), 'A1,B2');
    assert.equal(ids(`${AB} until [A where true]`, 'A1 B2'), '');
    const set = { A1: { k: 'x' }, U2: { k: 'y' }, B3: { k: 'x' } };
    assert.equal(ids(`sequence by k ${stages('AB')} until [U where true]`, 'A1 U2 B3', { set }), 'A1,B3');
  });
  test('missing in the middle: nothing between the neighbours, told as -1', () => {
    const query = 'sequence with maxspan=1h [A where true] ![M where true] [B where true]';
    assert.equal(ids(query, 'A1 B2'), 'A1,-1,B2');
    assert.equal(ids(query, 'A1 M2 B3'), '');
    assert.equal(ids(query, 'M1 A2 B3 M4'), 'A2,-1,B3');
  });
  test('missing is decided when the rest is complete: the older chain is lost', () => {
    const query = 'sequence with maxspan=1h [A where true] [B where true] ![M where true] [C where true]';
    assert.equal(ids(query, 'A1 B2 M3 B4 C5'), '');
    assert.equal(ids(query, 'A1 B2 A3 B4 C5'), 'A3,B4,-1,C5');
  });
  test('missing first and last: inside the time span of the sequence', () => {
    const first = 'sequence with maxspan=5s ![M where true] [A where true] [B where true]';
    assert.equal(ids(first, 'M1 A3 B4'), '');
    assert.equal(ids(first, 'M1 A5 B7'), '-1,A5,B7');
    const last = 'sequence with maxspan=5s [A where true] [B where true] ![M where true]';
    assert.equal(ids(last, 'A1 B2 M6'), '');
    assert.equal(ids(last, 'A1 B2 M7'), 'A1,B2,-1');
    assert.equal(ids('sequence with maxspan=5s [A where true] ![M where true]', 'A1 A3 M7'), 'A1,-1');
  });
  test('keys: a required null joins nothing, an optional one joins null', () => {
    const set = { A1: {}, B2: {}, A3: { k: 1 }, B4: { k: 1 } };
    assert.equal(ids(`sequence by k ${stages('AB')}`, 'A1 B2 A3 B4', { set }), 'A3,B4');
    assert.equal(ids(`sequence by ?k ${stages('AB')}`, 'A1 B2 A3 B4', { set }), 'A1,B2 A3,B4');
  });
  test('keys: each distinct value of a list is a key; numbers and texts differ', () => {
    const set = { A1: { k: ['x', null, 'y', 'x'] }, B2: { k: ['y', 'x'] }, A3: { k: 1 }, B4: { k: '1' } };
    assert.equal(ids(`sequence by k ${stages('AB')}`, 'A1 B2 A3 B4', { set }), 'A1,B2 A1,B2');
    const two = { A1: { k: ['x', 'y'], m: [1, 2] }, B2: { k: 'x', m: [1, 2, 3] } };
    assert.equal(ids(`sequence by k, m ${stages('AB')}`, 'A1 B2', { set: two }), 'A1,B2 A1,B2');
  });
  test('keys of each event are joined by place, nested or dotted', () => {
    const set = { A1: { own: { pid: 7 } }, B2: { 'parent.pid': 7 } };
    assert.equal(
      ids('sequence [A where true] by own.pid [B where true] by parent.pid', 'A1 B2', { set }),
      'A1,B2',
    );
  });
  test('equal times: the tie-breaker decides, without one an event is last, then the order of the file', () => {
    assert.equal(ids(AB, 'B1 A1', { set: { A1: { tie: 1 }, B1: { tie: 2 } } }), 'A1,B1');
    assert.equal(ids(AB, 'B1 A1', { set: { A1: { tie: 1 } } }), 'A1,B1');
    assert.equal(ids(AB, 'A1 B1'), 'A1,B1');
    assert.equal(ids(AB, 'B1 A1'), '');
  });
  test('fork leaves the pending sequence where it is', () => {
    assert.equal(ids('sequence [A where true] [B where true] fork=true', 'A1 B2 B3'), 'A1,B2 A1,B3');
  });
  test('join: any order, the first event wins a slot', () => {
    assert.equal(ids(`join ${stages('AB')}`, 'B1 B2 A3 A4 B5'), 'A3,B1 A4,B5');
    assert.equal(ids(`join ${stages('AB')} until [U where true]`, 'A1 U2 B3'), '');
  });
  test('pipes', () => {
    assert.equal(ids(`${AB} | head 1`, 'A1 B2 A3 B4'), 'A1,B2');
    assert.equal(ids(`${AB} | tail 1`, 'A1 B2 A3 B4'), 'A3,B4');
    assert.equal(ids(`${AB} | filter events[1].time > 3000`, 'A1 B2 A3 B4'), 'A3,B4');
  });
  test('Windows file times are read', () => {
    // 2017-09-01T00:00:00Z is 131486976000000000 in 100 ns since 1601.
    const set = { A1: { time: 131_486_976_000_000_000 }, B2: { time: '2017-09-01T00:00:05Z' } };
    assert.equal(ids(`sequence with maxspan=5s ${stages('AB')}`, 'A1 B2', { set }), 'A1,B2');
    assert.equal(ids(`sequence with maxspan=4s ${stages('AB')}`, 'A1 B2', { set }), '');
  });
  test('an event without a time is refused', () => {
    assert.throws(() => ids(AB, 'A1 B2', { set: { B2: { time: 'soon' } } }), EqlError);
  });
});
