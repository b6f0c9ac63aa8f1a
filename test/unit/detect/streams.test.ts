import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Streams } from '../../../services/detect/streams.ts';

const taken = (streams: Streams, seq: number): boolean => streams.accept('s', seq, 0, 0) !== undefined;

test('an event is taken once, also one that was jumped over', () => {
  const streams = new Streams();
  assert.deepEqual(
    [0, 1, 1, 4, 3, 3, 2, 4].map((seq) => taken(streams, seq)),
    [true, true, false, true, true, false, true, false],
  );
});

test('however many gaps a stream leaves, a late event of any of them is examined', () => {
  const streams = new Streams();
  for (let seq = 0; seq < 2_000; seq += 2) assert.ok(taken(streams, seq));
  for (let seq = 1; seq < 2_000; seq += 2) assert.ok(taken(streams, seq), `seq ${seq}`);
});

test('what is remembered of a stream is bounded, whatever order its events come in', () => {
  const streams = new Streams();
  taken(streams, 10_000);
  for (let seq = 1; seq < 10_000; seq += 2) taken(streams, seq);
  const [packed] = streams.pack();
  assert.ok((packed?.[3].length ?? 0) <= 16);
  for (let seq = 0; seq < 10_000; seq += 2) assert.ok(taken(streams, seq), `seq ${seq}`);
});
