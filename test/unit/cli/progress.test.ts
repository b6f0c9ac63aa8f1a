import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Output } from '../../../services/cli/output.ts';
import { Progress, progressText } from '../../../services/cli/progress.ts';

test('progress tells events, rate, and the share where the whole is known', () => {
  assert.equal(progressText(50_000, 2_000, 125_000), 'read 50000 events, 25000 a second, 40 %');
  assert.equal(progressText(50_000, 2_000, undefined), 'read 50000 events, 25000 a second');
  assert.equal(progressText(130, 0, 100), 'read 130 events, 100 %');
});

test('it is told once a second at most', () => {
  const told: string[] = [];
  const signal = new AbortController().signal;
  const io = {
    env: {},
    out: () => undefined,
    err: (text: string) => told.push(text),
    isTerminal: false,
    signal,
  };
  const progress = new Progress(new Output(io, true), 10_000);
  for (let events = 0; events <= 10_000; events += 10) progress.at(events, events / 4);
  assert.deepEqual(told, [
    'read 4120 events, 4000 a second, 41 %\n',
    'read 8240 events, 4000 a second, 82 %\n',
  ]);
});
