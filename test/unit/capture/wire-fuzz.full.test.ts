/** 100,000 lines of anything, in connections short and long: see test/support/capture/wire-fuzz.ts. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { fuzzSwitched } from '../../support/capture/switched-fuzz.ts';
import { fuzzWire, wireAfter } from '../../support/capture/wire-fuzz.ts';

it('bytes go on untouched, and every request has exactly one result, over 100,000 lines', () => {
  let requests = 0;
  for (let seed = 1_000; seed < 1_050; seed++) requests += fuzzWire(seed, 1_000).requests;
  for (let seed = 2_000; seed < 2_005; seed++) requests += fuzzWire(seed, 10_000).requests;
  assert.ok(requests > 20_000, String(requests));
});

it('what one connection holds does not grow with its lines', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heldAfter = (lines: number): number => {
    collect();
    const before = process.memoryUsage().heapUsed;
    const wire = wireAfter(7, lines);
    collect();
    const held = process.memoryUsage().heapUsed - before;
    assert.ok('observe' in wire);
    return held;
  };
  heldAfter(2_000);
  const early = heldAfter(50_000);
  const late = heldAfter(200_000);
  assert.ok(late < early + 16 * 1024 * 1024, `${early} bytes after 50,000 lines, ${late} after 200,000`);
});

it('with labels that change, a policy in force and redaction: no crash, one result each, no secret on record, over 8,000 lines', async () => {
  const counts = { requests: 0, refused: 0, redacted: 0 };
  for (let seed = 3_000; seed < 3_016; seed++) {
    const { requests, refused, redacted } = await fuzzSwitched(seed, 500);
    counts.requests += requests;
    counts.refused += refused;
    counts.redacted += redacted;
  }
  assert.ok(counts.requests > 1_500 && counts.refused > 500 && counts.redacted > 200, JSON.stringify(counts));
});
