/** Answers of the API as the console reads them: whatever comes, no view gets anything but the shape it shows. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  readAlert,
  readControl,
  readSession,
  readSessionSummary,
  readTailMessage,
} from '../../../dashboards/console/src/api/read.ts';
import { readLedger } from '../../../dashboards/console/src/api/read-ledger.ts';

const READERS = { readAlert, readControl, readLedger, readSession, readSessionSummary };

describe('answers of the API', () => {
  it('never throws, and never lets an object through where a text is shown', () => {
    const flat = (value: unknown): boolean =>
      value === null ||
      ['string', 'number', 'boolean'].includes(typeof value) ||
      (typeof value === 'object' && Object.values(value).every(flat));
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const read of Object.values(READERS)) assert.ok(flat(read(value)));
        assert.ok(flat(readTailMessage(value, 1)));
      }),
    );
  });
  it('reads ClickHouse times as UTC and 64-bit counts as numbers', () => {
    const summary = readSessionSummary({ session: 's', calls: '12', firstTime: '2026-01-31 12:00:00.123' });
    assert.equal(summary.firstTime, '2026-01-31T12:00:00.123Z');
    assert.equal(summary.calls, 12);
  });
  it('reads the disposition of an alert, and that there is none', () => {
    const said = { value: 'false_positive', reason: 'ours', actor: 'ana', time: '2026-01-31T12:00:00.000Z' };
    assert.deepEqual(readAlert({ disposition: said }).disposition, said);
    assert.equal(readAlert({ disposition: null }).disposition, null);
    assert.equal(readAlert({}).disposition, null);
  });
  it('reads the tail: events, what was left out, and what it does not know', () => {
    const event = { kind: 'call.intent', tool: 't', class: 'other', session: 's' };
    const message = readTailMessage({ type: 'event', event, class: 'payment', destHost: 'x.example' }, 7);
    assert.equal(message.kind, 'row');
    if (message.kind === 'row') {
      assert.equal(message.row.toolClass, 'payment'); // the service's class, not the claim
      assert.equal(message.row.destHost, 'x.example');
    }
    assert.deepEqual(readTailMessage({ type: 'dropped', count: 5 }, 8), { kind: 'dropped', count: 5 });
    assert.deepEqual(readTailMessage('hello', 9), { kind: 'other' });
  });
});
