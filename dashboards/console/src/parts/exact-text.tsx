/** Text that a person answers for: every character of it, those that hide named, what is folded away counted. */
import type { ReactNode } from 'react';
import { cut, pieces } from './visible.ts';

/** Code points; what is longer is unfolded by hand. */
const FOLDED_LENGTH = 2_000;

export const isLong = (value: string): boolean => cut(value, FOLDED_LENGTH).isCut;

interface ExactTextProps {
  readonly value: string;
  readonly label: string;
  readonly isOpen: boolean;
  readonly onOpen: () => void;
}

export function ExactText({ value, label, isOpen, onOpen }: ExactTextProps): ReactNode {
  const all = pieces(value);
  const hidden = all.filter((piece) => piece.kind === 'hidden').length;
  const short = cut(value, FOLDED_LENGTH);
  const shown = isOpen || !short.isCut ? all : pieces(short.text);
  return (
    <div className="exact-frame">
      {/* Scrolls by keyboard too. */}
      <pre className="exact" tabIndex={0} role="region" aria-label={label}>
        <bdi>
          {shown.map((piece, index) =>
            piece.kind === 'plain' ? (
              piece.text
            ) : (
              <span key={index} className="hidden-char">
                {piece.text}
              </span>
            ),
          )}
        </bdi>
      </pre>
      {hidden > 0 ? (
        <p className="note warn">
          {hidden.toLocaleString('en')} {hidden === 1 ? 'character' : 'characters'} in it cannot be seen
          elsewhere; here their names stand for them.
        </p>
      ) : null}
      {short.isCut && !isOpen ? (
        <button type="button" onClick={onOpen}>
          Show all {value.length.toLocaleString('en')} characters
        </button>
      ) : null}
    </div>
  );
}
