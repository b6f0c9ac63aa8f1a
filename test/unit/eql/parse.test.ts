import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { EqlError } from '../../../detectors/eql/error.ts';
import { parseQuery } from '../../../detectors/eql/parse.ts';

const QUERIES = [
  'any where true',
  'tool where name == "fetch" and not (size > 10 or size <= 2)',
  'sequence by session, ?agent with maxspan=5m [a where x : "b*"] ![c where true] [d where y in ("p", "q")] until [e where z != null]',
  "sequence [a where true] by k * 2, string(k) [b where f(x, 1) == 's'] fork=true by m, n | filter events[1].x == 4 | head 2 | tail 1",
  'join by user [a where regex~ == 1] [b where `odd name`.x like~ ("a?", """raw \\d""")]',
  'sequence // why\n with maxspan = 500ms /* and\n that */ [a where p.q[0] == -1.5e3] with runs=3 [b where q not in (1, 2, null)]',
];

suite('EQL parser', () => {
  test('a sequence has its keys, span, runs, absences and until', () => {
    const { body, dialect } = parseQuery(
      'sequence by s with maxspan=2h [a where true] with runs=3 ![b where true] until [c where true]',
    );
    assert.ok(body.kind === 'sequence');
    assert.equal(body.maxSpanMs, 7_200_000);
    assert.deepEqual(
      body.terms.map(({ runs, isMissing }) => [runs, isMissing]),
      [
        [3, false],
        [1, true],
      ],
    );
    assert.equal(body.until?.filter.category, 'c');
    assert.equal(dialect, 'elasticsearch');
  });
  test('one equals sign, join, fork, single quotes and computed keys tell the older dialect', () => {
    for (const query of [
      'a where x = 1',
      'join [a where true] [b where true]',
      'sequence [a where true] fork [b where true]',
      "a where x == 'y'",
      'sequence [a where true] by x * 2 [b where true] by y',
    ])
      assert.equal(parseQuery(query).dialect, 'endgame', query);
  });
  test('strings: escapes, raw ones, a quote before the closing three', () => {
    const value = (text: string): unknown => {
      const { body } = parseQuery(`a where x == ${text}`);
      assert.ok(body.kind === 'event' && body.filter.condition.kind === 'compare');
      const { right } = body.filter.condition;
      return right.kind === 'literal' ? right.value : undefined;
    };
    assert.equal(value(String.raw`"a\t\"b\u{e9}"`), 'a\t"bé');
    assert.equal(value(String.raw`"""C:\new"x""""`), String.raw`C:\new"x"`);
    assert.equal(value(String.raw`?"C:\new"`), String.raw`C:\new`);
  });
  test('faults are told with their place', () => {
    const cases: readonly (readonly [query: string, at: number, message: RegExp])[] = [
      ['a where', 7, /field or value/],
      ['a where x == "open', 13, /not closed/],
      ['a where x == "\\q"', 13, /escape/],
      ['sequence [a where true]', 0, /two events/],
      ['sequence [a where true] ![b where true]', 24, /maxspan/],
      ['sequence [a where true] by x [b where true]', 29, /as many keys/],
      ['sequence with maxspan=5 [a where true] [b where true]', 22, /unit/],
      ['a where true | count', 15, /head, tail and filter/],
      ['a where true | sort x', 15, /not supported/],
      ['sample by x [a where true] [b where true]', 0, /samples/],
      ['a where x == 1 == 2', 15, /chained/],
      ['a where descendant of [b where true]', 8, /not supported/],
    ];
    for (const [query, at, message] of cases)
      assert.throws(
        () => parseQuery(query),
        (error: unknown) => {
          assert.ok(error instanceof EqlError, query);
          assert.match(error.message, message, query);
          assert.equal(error.at, at, `${query}: ${error.message}`);
          return true;
        },
      );
  });
  test('brackets without end do not exhaust the stack', () => {
    for (const part of ['(', 'not ', '-', 'f('])
      assert.throws(() => parseQuery(`a where ${part.repeat(20_000)}`), EqlError);
  });
  test('2,000 mutated queries: read, or refused with its own error', () => {
    let refused = 0;
    const mutation = fc.record({
      query: fc.constantFrom(...QUERIES),
      at: fc.nat(200),
      remove: fc.nat(8),
      insert: fc.oneof(
        fc.string({ maxLength: 6 }),
        fc.constantFrom(
          '[',
          ']',
          '"',
          "'",
          '"""',
          '!',
          '|',
          '(',
          ')',
          ' and ',
          ' by ',
          '~',
          '\\u{',
          '`',
          '/*',
        ),
      ),
    });
    fc.assert(
      fc.property(mutation, ({ query, at, remove, insert }) => {
        const mutated = query.slice(0, at) + insert + query.slice(at + remove);
        try {
          parseQuery(mutated);
        } catch (error) {
          refused += 1;
          assert.ok(error instanceof EqlError, `${mutated}: ${String(error)}`);
          assert.ok(error.at >= 0 && error.at <= mutated.length);
        }
      }),
      { numRuns: 2_000 },
    );
    assert.ok(refused > 500 && refused < 2_000, `${refused} refused: the mutations show little`);
  });
});
