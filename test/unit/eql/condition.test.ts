import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { EqlError } from '../../../detectors/eql/error.ts';
import { matchEql } from '../../../detectors/eql/match.ts';

const EVENT = {
  id: 'it',
  time: 0,
  name: 'Read_File.exe',
  size: 40,
  empty: null,
  ok: true,
  tags: ['red', 'Blue'],
  ip: '10.1.2.3',
  hex: '0x1f',
  deep: { list: [{ x: 1 }, { x: 2 }] },
};

function holds(condition: string, dialect: 'elasticsearch' | 'endgame' = 'elasticsearch'): boolean {
  const fields = { id: 'id', category: 'kind', timestamp: 'time' };
  return matchEql(`any where ${condition}`, [EVENT], { ...fields, dialect }).length === 1;
}

function check(cases: Readonly<Record<string, boolean>>, dialect?: 'elasticsearch' | 'endgame'): void {
  for (const [condition, expected] of Object.entries(cases))
    assert.equal(holds(condition, dialect), expected, condition);
}

suite('EQL conditions', () => {
  test('equality looks at case and knows no wildcards; the colon does the reverse', () => {
    check({
      'name == "Read_File.exe"': true,
      'name == "read_file.exe"': false,
      'name == "*"': false,
      'name : "read_*.EXE"': true,
      'name : "read?file.exe"': true,
      'name : ("x", "*.exe")': true,
      'name != "x"': true,
      'size : 40': true,
      'size == "40"': false,
    });
  });
  test('the older dialect: equality without case, a star is a wildcard', () => {
    check({ 'name = "read_*"': true, 'name == "READ_FILE.EXE"': true, 'name != "read_*"': false }, 'endgame');
    check({ 'name = "read?file.exe"': false, 'endsWith(name, ".EXE")': true }, 'endgame');
  });
  test('lists, like and regex, with and without case', () => {
    check({
      'name in ("read_file.exe")': false,
      'name in~ ("read_file.exe")': true,
      'name not in ("x")': true,
      'size in (1, 40)': true,
      'name like "Read*"': true,
      'name like "read*"': false,
      'name like~ ("x*", "read*")': true,
      'name regex "Read_[A-Z][a-z]+\\\\.exe"': true,
      'name regex "Read"': false,
      'name regex~ "read_.*"': true,
      'name like "*.*.*"': false,
      'name like "Read_File.exe*"': true,
    });
  });
  test('null: a comparison with something missing is neither true nor false', () => {
    check({
      'gone == null': true,
      'empty == null': true,
      'name != null': true,
      '?gone == 1': false,
      'gone > 1': false,
      'not (gone > 1)': false,
      'not (gone == 1)': true,
      'gone != 1': true,
      'gone > 1 or ok': true,
      'not (size > 50)': true,
    });
    check({ 'not (gone == 1)': false, 'gone != 1': false, 'not ok': false }, 'endgame');
  });
  test('a list fits when an element does; positions and paths below lists', () => {
    check({ 'tags == "red"': true, 'tags : "blue"': true, 'deep.list.x == 2': true });
    check({ 'deep.list[1].x == 2': true, 'deep.list[1].x == 1': false, 'tags[0] == "red"': true });
  });
  test('arithmetic and order', () => {
    check({
      'size + 2 * 3 == 46': true,
      '(size + 2) * 3 == 126': true,
      'size % 7 == 5': true,
      'size / 3 == 13': true,
      '-size < 0': true,
      'name > "Q"': true,
      '1 < 2 and not 2 < 1': true,
    });
    check({ 'size / 32 == 1.25': true }, 'endgame');
  });
  test('functions', () => {
    check({
      'startsWith(name, "read")': false,
      'startsWith~(name, "read")': true,
      'endsWith(name, ".exe")': true,
      'stringContains(name, "_File")': true,
      'length(name) == 13': true,
      'number(hex) == 31': true,
      'number("1f", 16) == 31': true,
      'string(size) == "40"': true,
      'concat(name, "-", size) == "Read_File.exe-40"': true,
      'substring(name, 0, 4) == "Read"': true,
      'substring(name, -4) == ".exe"': true,
      'indexOf(name, "_") == 4': true,
      'between(name, "_", ".") == "File"': true,
      'cidrMatch(ip, "192.168.0.0/16", "10.0.0.0/8")': true,
      'cidrMatch(ip, "11.0.0.0/8")': false,
      'wildcard(name, "x*", "*.exe")': true,
      'add(size, 1) == 41': true,
      'length(gone) == null': true,
    });
  });
  test('what is not supported is refused by name', () => {
    for (const condition of [
      'arraySearch(tags, x, x == 1)',
      'length()',
      'name regex "("',
      'cidrMatch(ip, "ten")',
      'name like size',
    ])
      assert.throws(() => holds(condition), EqlError, condition);
  });
  test('patterns take time linear in the text', () => {
    const long = { id: 1, time: 0, text: `${'a'.repeat(60_000)}!` };
    const startedMs = performance.now();
    for (const condition of ['text like "*a*a*a*a*a*a*a*b"', 'text regex "(a*)*b"', 'text regex "(a|a)*b"'])
      assert.deepEqual(
        matchEql(`any where ${condition}`, [long], { id: 'id', category: 'kind', timestamp: 'time' }),
        [],
      );
    assert.ok(performance.now() - startedMs < 5_000);
  });
  test('names of prototypes are no fields', () => {
    check({ 'constructor == null': true, '__proto__.x == null': true, 'toString == null': true });
  });
});
