/** Text of events as the console shows it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { cut, pieces, visible } from '../../../dashboards/console/src/parts/visible.ts';

describe('text of events', () => {
  it('names every character that hides or reorders', () => {
    // Unicode: bidi controls (TR9), zero width, soft hyphen, tag characters, variation selectors, Hangul fillers, separators.
    for (const code of [
      0x00, 0x07, 0x0a, 0x1b, 0x7f, 0x85, 0xad, 0x061c, 0x115f, 0x200b, 0x200e, 0x202e, 0x2028, 0x2029,
      0x2066, 0x2069, 0x3164, 0xfe0f, 0xfeff, 0xffa0, 0xe000, 0xe0041, 0xe0101,
    ]) {
      const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
      assert.equal(visible(`a${String.fromCodePoint(code)}b`), `a⟨${name}⟩b`, name);
    }
  });
  it('leaves letters of any script alone', () => {
    for (const text of ['Grüße', 'поиск', 'بحث', '検索', 'खोज', 'a b', '<b>&amp;</b>'])
      assert.equal(visible(text), text);
  });
  it('names lone halves of surrogate pairs', () => {
    assert.equal(visible('a\ud83db'), 'a⟨U+D83D⟩b');
  });
  it('loses nothing: the pieces hold every character, in order', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const back = pieces(text)
          .map((piece) =>
            piece.kind === 'plain' ? piece.text : String.fromCodePoint(parseInt(piece.text.slice(2), 16)),
          )
          .join('');
        assert.equal(back, text);
      }),
    );
  });
  it('cuts at whole code points, and says whether it did', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.integer({ min: 1, max: 20 }),
        (text, maxLength) => {
          const { text: head, isCut } = cut(text, maxLength);
          assert.ok(Array.from(head).length <= maxLength);
          assert.ok(text.startsWith(head));
          assert.equal(isCut, Array.from(text).length > maxLength);
        },
      ),
    );
  });
});
