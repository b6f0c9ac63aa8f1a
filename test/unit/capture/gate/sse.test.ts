/** Event streams as WHATWG HTML §9.2 describes them, and that no cut of the bytes changes what is seen or passed on. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'node:test';
import { replacedEvent, SseSplitter } from '../../../../services/capture/gate/sse.ts';

const PLENTY = 1_000_000;

interface Split {
  readonly data: readonly string[];
  readonly raw: Buffer;
  readonly long: number;
}

function split(bytes: Buffer, cuts: readonly number[], maxBytes = PLENTY): Split {
  let long = 0;
  const splitter = new SseSplitter(maxBytes, () => long++);
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  const events = places.slice(1).flatMap((to, index) => splitter.push(bytes.subarray(places[index], to)));
  return {
    data: events.flatMap(({ data }) => (data === undefined ? [] : [Buffer.from(data).toString()])),
    raw: Buffer.concat([...events.flatMap(({ raw }) => raw), ...splitter.end()]),
    long,
  };
}

describe('event stream', () => {
  for (const [name, text, data] of [
    ['several data lines are one message', 'data: YHOO\ndata: +2\ndata: 10\n\n', ['YHOO\n+2\n10']],
    ['a comment and an id alone dispatch nothing', ': test\n\nid: 1\n\ndata: x\nid\n\n', ['x']],
    ['data without a colon is empty', 'data\n\ndata\ndata\n\ndata:', ['', '\n']],
    [
      'one blank after the colon is not data',
      'data:test\n\ndata: test\n\ndata:  test\n\n',
      ['test', 'test', ' test'],
    ],
    ['CR alone and CR LF end lines', 'data: a\r\rdata: b\r\n\r\ndata: c\n\r\n', ['a', 'b', 'c']],
    ['the byte order mark is no data', '\u{FEFF}data: a\n\n', ['a']],
    ['names are exact', 'Data: a\ndata2: b\n data: c\n\n', []],
    ['an event without its end is none', 'data: a\n\ndata: b\n', ['a']],
  ] as const) {
    it(`${name}, however it is cut`, () => {
      const bytes = Buffer.from(text);
      assert.deepEqual(split(bytes, []), { data, raw: bytes, long: 0 });
      for (let at = 0; at <= bytes.length; at++)
        assert.deepEqual(split(bytes, [at, at + 1]), { data, raw: bytes, long: 0 }, `cut at ${at}`);
    });
  }

  it('every byte goes on once, and cuts change nothing', () => {
    const line = fc.constantFrom(
      'data: x',
      'data',
      'id: 1',
      ':c',
      '',
      'event: e',
      'data: {"a":"ä"}',
      'x',
      'retry: 1',
    );
    const end = fc.constantFrom('\n', '\r', '\r\n');
    const stream = fc.array(fc.tuple(line, end), { maxLength: 30 });
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (lines, cuts) => {
        // CR and LF of neighbours would make another line end; that is another stream, not another cut of this one.
        const bytes = Buffer.from(lines.map(([text, ending]) => text + ending).join(''));
        const whole = split(bytes, []);
        const pieces = split(bytes, cuts);
        assert.deepEqual(pieces.data, whole.data);
        assert.ok(pieces.raw.equals(bytes) && whole.raw.equals(bytes));
      }),
    );
  });

  it('comments do not wait for the event after them', () => {
    const splitter = new SseSplitter(PLENTY, () => undefined);
    const [comment] = splitter.push(Buffer.from(': keep-alive\n'));
    assert.equal(Buffer.concat([...(comment?.raw ?? [])]).toString(), ': keep-alive\n');
    assert.equal(splitter.push(Buffer.from('data: a\n')).length, 0);
  });

  it('an event over the limit goes on unseen, and the one after it is seen', () => {
    const bytes = Buffer.from(`data: ${'x'.repeat(500)}\n\ndata: y\n\n`);
    const { data, raw, long } = split(bytes, [50, 100, 150, 300], 100);
    assert.deepEqual([data, long, raw.equals(bytes)], [['y'], 1, true]);
  });

  it('a replaced message keeps the lines beside it', () => {
    const splitter = new SseSplitter(PLENTY, () => undefined);
    const [event] = splitter.push(Buffer.from('id: 7\r\nevent: message\ndata: old\n\n'));
    assert.ok(event !== undefined);
    const text = Buffer.concat([...replacedEvent(event, Buffer.from('new\nline'))]).toString();
    assert.equal(text, 'id: 7\r\nevent: message\ndata: new\ndata: line\n\n');
  });
});
