/** Who gets which partition of a group. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assignPartitions, partitionName } from '../../../services/platform/bus/assign.ts';

const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 8 });
const counts = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 24 }));

const owners = (members: readonly string[], topics: Record<string, number>): Map<string, string> => {
  const names = Object.keys(topics);
  const assigned = assignPartitions(
    members.map((id) => ({ id, topics: names })),
    new Map(Object.entries(topics)),
  );
  return new Map([...assigned].flatMap(([id, list]) => list.map((at) => [partitionName(at), id] as const)));
};

test('every partition has one owner, evenly, whatever the order of the members', () => {
  fc.assert(
    fc.property(ids, counts, (members, topics) => {
      const found = owners(members, topics);
      assert.equal(
        found.size,
        Object.values(topics).reduce((sum, count) => sum + count, 0),
      );
      assert.deepEqual(owners(members.toReversed(), topics), found);
      for (const [topic, count] of Object.entries(topics))
        for (const id of members) {
          const own = [...found].filter(([name, owner]) => owner === id && name.startsWith(`${topic}/`));
          assert.ok(own.length <= Math.ceil(count / members.length));
        }
    }),
  );
});

test('a member gets no partition of a topic that it did not subscribe', () => {
  const assigned = assignPartitions(
    [
      { id: 'x', topics: ['a'] },
      { id: 'y', topics: ['a', 'b'] },
    ],
    new Map([
      ['a', 4],
      ['b', 3],
      ['nobody', 2],
    ]),
  );
  assert.deepEqual(
    assigned.get('x')?.map(({ topic }) => topic),
    ['a', 'a'],
  );
  assert.deepEqual(
    assigned.get('y')?.map(({ topic }) => topic),
    ['a', 'a', 'b', 'b', 'b'],
  );
});
