/** Records that are gone from the bus before they were read: nothing is signed over them until an operator says so, on record. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Step } from '../../../schemas/config/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { Service } from '../../../services/cli/service.ts';
import { EmbeddedStorage } from '../../../services/platform/bus/embedded/storage.ts';
import { CALLS, StreamWriter } from '../../support/scenario/events.ts';
import { eventually, openPlace, startIn, tripline, type Place } from '../cli/harness.ts';

const TOPIC = TOPICS.toolcalls.name;
const WITHOUT_RECORD: readonly Step[] = ['ingest', 'sign', 'respond', 'query'];

describe('a hole in the bus', () => {
  let place: Place;
  let service: Service;
  let partition = -1;
  const dataDir = (): string => join(place.dir, 'data');

  const get = async (path: string): Promise<{ readonly status: number; readonly text: string }> => {
    const token = readFileSync(join(dataDir(), 'admin.token'), 'utf8').trim();
    const response = await fetch(`${service.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    return { status: response.status, text: await response.text() };
  };

  before(async () => {
    place = await openPlace();
    service = await startIn(place, WITHOUT_RECORD);
    const writer = new StreamWriter('default', 'holed');
    const token = readFileSync(join(dataDir(), 'producer.token'), 'utf8').trim();
    for (let at = 0; at < 6; at += 1) {
      const response = await fetch(`${service.url}/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
        body: writer.event(CALLS.search, Date.now()).line,
      });
      assert.equal(response.status, 202);
    }
    await service.stop();
    const storage = new EmbeddedStorage(join(dataDir(), 'bus'));
    const topic = storage.topics().get(TOPIC);
    assert.ok(topic);
    for (let at = 0; at < topic.partitions; at += 1) {
      const id = topic.id * 2 ** 16 + at;
      if (storage.bounds(id).end !== 6) continue;
      partition = at;
      await storage.removeBlocks(id, [2, 3], 6);
    }
    await storage.close();
    assert.ok(partition >= 0);
    service = await startIn(place);
  });
  after(async () => {
    await service.stop();
    await place.remove();
  });

  it('is an alarm, and not signed over', async () => {
    const ready = await eventually(
      () => get('/readyz'),
      ({ text }) => text.includes('bus_offset_lost'),
    );
    assert.equal(ready.status, 503);
    assert.match(ready.text, new RegExp(`${TOPIC}/${partition}: bus_offset_lost`));
    const { exitCode } = await tripline(place.env, ['doctor', '--json']);
    assert.equal(exitCode, 1);
  });

  const accept = (from: number, to: number) =>
    tripline(
      place.env,
      `ledger accept-loss --json --topic ${TOPIC} --partition ${partition} --from ${from} --to ${to} --reason disk`.split(
        ' ',
      ),
    );

  it('cannot be accepted wider than it is', async () => {
    for (const [from, to] of [
      [0, 4],
      [2, 5],
      [1, 4],
      [2, 3],
    ] as const)
      assert.notEqual((await accept(from, to)).exitCode, 0, `${from} to ${to}`);
  });

  it('is gone over after a decision, which the root log and the audit trail hold, and verify says what is missing', async () => {
    const accepted = await accept(2, 4);
    assert.equal(accepted.exitCode, 0, accepted.err);
    const verified = await eventually(
      () => tripline(place.env, ['verify', '--json']),
      ({ items }) => Number(items()[0]?.['losses']) === 1 && Number(items()[0]?.['gapCount']) === 1,
    );
    const [report] = verified.items();
    assert.deepEqual(
      [verified.exitCode, report?.['verdict'], report?.['firstFault'], report?.['losses']],
      [20, 'incomplete', null, 1],
      verified.out,
    );
    // The stream's own numbers say the same: the events of these two records.
    const gaps = (report?.['gaps'] ?? []) as readonly Record<string, unknown>[];
    const [gap] = gaps;
    assert.deepEqual([gap?.['firstSeq'], gap?.['lastSeq']], [2, 3]);
    const ready = await eventually(
      () => get('/readyz'),
      ({ status }) => status === 200,
    );
    assert.equal(ready.status, 200, ready.text);
  });
});
