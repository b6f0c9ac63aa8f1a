import { useState, type ReactNode } from 'react';
import { cut, pieces, type Piece } from './visible.ts';

const MAX_UNFOLDED_LENGTH = 20_000;

interface UntrustedProps {
  readonly value: string;
  /** Code points shown before the rest is folded away; 64 by default. */
  readonly maxLength?: number;
  /** Shown for an empty value. */
  readonly empty?: string;
  /** No button to unfold: in rows that open as a whole. */
  readonly folded?: boolean;
}

/** Text from events: only text nodes, its own bidi context, characters that hide made visible, long values folded. */
export function Untrusted({ value, maxLength = 64, empty = '', folded = false }: UntrustedProps): ReactNode {
  const [isOpen, setOpen] = useState(false);
  if (value === '') return empty === '' ? null : <span className="faint">{empty}</span>;
  const short = cut(value, maxLength);
  const shown = isOpen ? cut(value, MAX_UNFOLDED_LENGTH).text : short.text;
  const tail = folded ? (
    '…'
  ) : (
    <Unfold length={value.length} isOpen={isOpen} onToggle={() => setOpen(!isOpen)} />
  );
  return (
    <bdi className={isOpen ? 'untrusted open' : 'untrusted'}>
      {pieces(shown).map(showPiece)}
      {short.isCut ? tail : null}
    </bdi>
  );
}

interface UnfoldProps {
  readonly length: number;
  readonly isOpen: boolean;
  readonly onToggle: () => void;
}

function Unfold({ length, isOpen, onToggle }: UnfoldProps): ReactNode {
  return (
    <button
      type="button"
      className="unfold"
      aria-expanded={isOpen}
      aria-label={isOpen ? 'show less' : `show all ${length.toLocaleString('en')} characters`}
      title={`${length.toLocaleString('en')} characters`}
      onClick={onToggle}
    >
      {isOpen ? 'less' : '…'}
    </button>
  );
}

function showPiece(piece: Piece, index: number): ReactNode {
  if (piece.kind === 'plain') return piece.text;
  return (
    <span key={index} className="hidden-char" title={`invisible character ${piece.text}`}>
      {piece.text}
    </span>
  );
}

/** A hash or id: its first digits, the whole on demand and on copy. */
export function Hash({
  value,
  digits = 12,
}: {
  readonly value: string;
  readonly digits?: number;
}): ReactNode {
  if (value === '') return <span className="faint">none</span>;
  return (
    <code className="hash">
      <Untrusted value={value} maxLength={digits} />
    </code>
  );
}
