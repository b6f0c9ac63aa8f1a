import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextOffset, type Fetched } from '../../../services/platform/bus/kafka/reader.ts';

const at = { topic: 'controls', partition: 0 };
const record = { ...at, offset: 12, appendMs: 1, key: null, value: null, headers: {} };

function fetched(offset: number, more: Partial<Fetched>, compacted = true): Fetched {
  const position = { at, kafkaTopic: 'controls', compacted, offset };
  return { position, records: [], highWatermark: 900, onlyEarlier: false, ...more };
}

test('a reader goes on after the last record that it got', () => {
  assert.equal(nextOffset(fetched(10, { records: [record] })), 13);
});

test('a batch whose tail was compacted away, at the end of its segment, does not hide the segments after it', () => {
  // 10 to 14 were one batch, 13 and 14 are superseded: asked for 13, the broker gives this batch again and nothing else.
  assert.equal(nextOffset(fetched(13, { onlyEarlier: true })), 14);
  assert.equal(nextOffset(fetched(14, { onlyEarlier: true })), 15);
});

test('a compacted partition without any record up to its end has been read; another waits where it is', () => {
  assert.equal(nextOffset(fetched(13, {})), 900);
  assert.equal(nextOffset(fetched(13, {}, false)), 13);
});
