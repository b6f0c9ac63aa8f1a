/** Fields that are worked out of an event. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fieldReader } from '../../../detectors/compile/fields.ts';

function read(name: string, event: object): unknown {
  const reader = fieldReader(name);
  assert.ok(reader !== undefined, name);
  return reader.read({ event, toolClass: 'other', destHost: () => '' });
}

const nested = (depth: number): unknown => (depth === 0 ? 'deep' : [nested(depth - 1)]);

describe('result_text and args_text', () => {
  it('join all texts, numbers and booleans in order, without names', () => {
    const result = {
      content: [
        { type: 'text', text: 'one' },
        { n: 2, b: false, nil: null },
      ],
      tail: 'end',
    };
    assert.equal(read('result_text', { result }), 'text\none\n2\nfalse\nend');
    assert.equal(read('args_text', { args: { url: 'https://a.example', n: 1 } }), 'https://a.example\n1');
  });
  it('take a plain text as it is', () => {
    assert.equal(read('result_text', { result: 'plain' }), 'plain');
    assert.equal(read('args_text', { args: 7 }), '7');
  });
  it('are missing where there is no body, or nothing in it', () => {
    for (const result of [undefined, null, {}, [], { a: null }]) {
      assert.equal(read('result_text', { result }), undefined);
    }
  });
  it('tell two bodies in a row apart', () => {
    assert.equal(read('args_text', { args: { a: 'x' } }), 'x');
    assert.equal(read('args_text', { args: { a: 'y' } }), 'y');
    assert.equal(read('result_text', { result: { a: 'z' } }), 'z');
  });
  it('are bounded in characters, values and depth', () => {
    const long = 'a'.repeat(300_000);
    assert.equal(String(read('result_text', { result: long })).length, 262_144);
    assert.equal(String(read('result_text', { result: [long, long] })).length, 262_144);
    const many = Array.from({ length: 100_000 }, () => 1);
    assert.ok(String(read('result_text', { result: many })).split('\n').length <= 65_536);
    assert.equal(read('result_text', { result: nested(60) }), 'deep');
    assert.equal(read('result_text', { result: nested(100) }), undefined);
  });
  it('only that of the result makes a step wait for the result', () => {
    assert.equal(fieldReader('result_text')?.ofResult, true);
    assert.equal(fieldReader('args_text')?.ofResult, false);
  });
});

describe('gap and control', () => {
  it('are read from the state of a stream and the acknowledgement of a host', () => {
    const gap = { kind: 'stream.gap', streamState: { dropped: 7, reason: 'spool_full' } };
    assert.deepEqual([read('gap.dropped', gap), read('gap.reason', gap)], [7, 'spool_full']);
    const ack = { kind: 'control.ack', ack: { state: 'rejected', code: 'expired' } };
    assert.deepEqual([read('control.state', ack), read('control.code', ack)], ['rejected', 'expired']);
    assert.equal(read('gap.dropped', {}), undefined);
    assert.equal(read('control.state', {}), undefined);
  });
});
