/** What must not change an alert: how sessions lie on partitions, who reads first, restarts, records sent again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_BODIES, randomArrivals } from './all-bodies.ts';
import { alertIdsOf, recordsByPartition, type Arrival, type Layout } from './pipeline.ts';
import { seeded, settingsFor, type Random } from './streams.ts';

const settings = settingsFor(ALL_BODIES);
const ONE: Layout = { partitions: 1, partitionOf: () => 0 };
const STREAMS = 25;

function randomLayout(random: Random): Layout {
  const partitions = 2 + random(3);
  const places = Array.from({ length: 6 }, () => random(partitions));
  return { partitions, partitionOf: (session) => places[Number(session.slice(1))] ?? 0 };
}

test('sessions spread over partitions tell what they tell on one, whoever is read first', () => {
  let alerts = 0;
  for (let seed = 1; seed <= STREAMS; seed++) {
    const random = seeded(seed);
    const arrivals = randomArrivals(random, 60);
    const whole = alertIdsOf(settings, recordsByPartition(arrivals, ONE), random);
    for (let run = 0; run < 3; run++) {
      const queues = recordsByPartition(arrivals, randomLayout(random));
      assert.deepEqual(alertIdsOf(settings, queues, random), whole, `seed ${seed}, run ${run}`);
    }
    alerts += whole.length;
  }
  assert.ok(alerts > STREAMS * 30, `only ${alerts} alerts`);
});

test('restarts anywhere, and facts that a crash sends again, change no alert', () => {
  let alerts = 0;
  const told = new Set<string>();
  for (let seed = 1; seed <= STREAMS; seed++) {
    const random = seeded(seed * 31);
    const arrivals = randomArrivals(random, 60);
    const queues = recordsByPartition(arrivals, randomLayout(random));
    const whole = alertIdsOf(settings, queues, random);
    for (const onceIn of [8, 30]) {
      const restarted = alertIdsOf(settings, queues, random, { random, onceIn });
      assert.deepEqual(restarted, whole, `seed ${seed}, once in ${onceIn}`);
    }
    alerts += whole.length;
    for (const alert of whole) told.add(alert.split(' ')[0] ?? '');
  }
  assert.ok(alerts > STREAMS * 30, `only ${alerts} alerts`);
  const silent = ALL_BODIES.filter((rule) => !told.has(rule.id)).map((rule) => rule.id);
  assert.deepEqual(silent, [], 'rules that these streams never make fire');
});

/** The same arrivals with records sent again in between, at the append time of a neighbour or of their own. */
function withCopies(random: Random, arrivals: readonly Arrival[]): Arrival[] {
  const mixed: Arrival[] = [];
  const places: number[] = [];
  for (const arrival of arrivals) {
    if ('event' in arrival) {
      while (places.length > 0 && random(3) === 0) {
        const copyOf = places[random(places.length)] as number;
        mixed.push({ copyOf, appendMs: arrival.event.appendMs - random(2) });
      }
    }
    places.push(mixed.length);
    mixed.push(arrival);
  }
  return mixed;
}

test('records sent again change no alert', () => {
  for (let seed = 1; seed <= STREAMS; seed++) {
    const random = seeded(seed * 97);
    const arrivals = randomArrivals(random, 60);
    const layout = randomLayout(random);
    const whole = alertIdsOf(settings, recordsByPartition(arrivals, layout), random);
    const mixed = recordsByPartition(withCopies(random, arrivals), layout);
    assert.deepEqual(alertIdsOf(settings, mixed, random), whole, `seed ${seed}`);
  }
});
