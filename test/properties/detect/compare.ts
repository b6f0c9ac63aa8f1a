import assert from 'node:assert/strict';
import { expectedAlerts } from './oracle.ts';
import { randomRule, randomStream, runStageOne, seeded, settingsFor } from './streams.ts';

export interface Comparison {
  readonly streams: number;
  readonly alerts: number;
  readonly guardedAlerts: number;
}

/** Compares matcher and oracle; throws with seed, rule and stream at the first difference. */
export function compareWithOracle(size: {
  readonly seed: number;
  readonly rules: number;
  readonly streamsPerRule: number;
}): Comparison {
  let alerts = 0;
  let guardedAlerts = 0;
  for (let index = 0; index < size.rules; index++) {
    const random = seeded(size.seed * 1_000_003 + index);
    const { oracle, compiled } = randomRule(random, `random.${index}`);
    const settings = settingsFor([compiled]);
    for (let run = 0; run < size.streamsPerRule; run++) {
      const stream = randomStream(random);
      const expected = ['main', 'other'].flatMap((session) => {
        // Events of other sessions still move the watermark: they stay, as events that match nothing.
        const seen = stream.events.map((e) => (e.session === session ? e : { ...e, class: '' }));
        return [...expectedAlerts(oracle, seen)];
      });
      const where = (): string =>
        JSON.stringify({ seed: size.seed, index, run, oracle, events: stream.events });
      const whole = runStageOne(settings, stream.records).get(compiled.id) ?? new Set();
      assert.deepEqual([...whole].toSorted(), expected.toSorted(), where());
      const cut = random(stream.records.length);
      const restarted = runStageOne(settings, stream.records, cut).get(compiled.id) ?? new Set();
      assert.deepEqual([...restarted].toSorted(), expected.toSorted(), `restart at ${cut}: ${where()}`);
      alerts += expected.length;
      if (oracle.guards.length > 0) guardedAlerts += expected.length;
    }
  }
  return { streams: size.rules * size.streamsPerRule, alerts, guardedAlerts };
}
