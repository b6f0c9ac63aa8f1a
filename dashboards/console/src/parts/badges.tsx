import type { ReactNode } from 'react';
import { Untrusted } from './untrusted.tsx';

type Tone = 'neutral' | 'read' | 'write' | 'danger' | 'secret' | 'ok' | 'warn';

/** Tone says what a class can do: take in text, see secrets, change things, reach outside. The word is always there too. */
const CLASS_TONES: ReadonlyMap<string, Tone> = new Map<string, Tone>([
  ['search', 'read'],
  ['web_read', 'read'],
  ['file_read', 'read'],
  ['memory_read', 'read'],
  ['database', 'read'],
  ['secret_read', 'secret'],
  ['file_write', 'write'],
  ['memory_write', 'write'],
  ['publish', 'danger'],
  ['external_post', 'danger'],
  ['message', 'danger'],
  ['payment', 'danger'],
  ['delete', 'danger'],
  ['code_exec', 'danger'],
  ['admin', 'danger'],
]);

export function ClassBadge({ value }: { readonly value: string }): ReactNode {
  if (value === '') return null;
  return (
    <span className={`badge ${CLASS_TONES.get(value) ?? 'neutral'}`}>
      <Untrusted value={value} maxLength={24} folded />
    </span>
  );
}

const OUTCOME_TONES: ReadonlyMap<string, Tone> = new Map<string, Tone>([
  ['ok', 'ok'],
  ['refused', 'danger'],
  ['tool_error', 'warn'],
  ['rpc_error', 'warn'],
  ['timeout', 'warn'],
  ['abandoned', 'warn'],
]);

/** How a call ended; a call without result is in flight or never came back. */
export function OutcomeBadge({ value }: { readonly value: string }): ReactNode {
  const shown = value === '' ? 'no result yet' : value;
  return (
    <span className={`outcome ${OUTCOME_TONES.get(value) ?? 'neutral'}`}>
      <span aria-hidden="true" className="dot" />
      <Untrusted value={shown} maxLength={24} folded />
    </span>
  );
}

const LEVELS = new Set(['informational', 'low', 'medium', 'high', 'critical']);

export function LevelBadge({ value }: { readonly value: string }): ReactNode {
  return (
    <span className={`level ${LEVELS.has(value) ? value : 'informational'}`}>
      <Untrusted value={value === '' ? 'no level' : value} maxLength={16} folded />
    </span>
  );
}

/** Verdicts that a reader has to see; a plain `allow` says nothing. */
const VERDICTS: ReadonlyMap<string, readonly [tone: Tone, words: string]> = new Map<
  string,
  readonly [Tone, string]
>([
  ['refuse', ['danger', 'refused by the host']],
  ['approval_required', ['write', 'needs approval']],
  ['shadow_refuse', ['write', 'would be refused']],
  ['warn_refuse', ['write', 'would be refused']],
]);

export function VerdictBadge({
  verdict,
  rule,
}: {
  readonly verdict: string;
  readonly rule: string;
}): ReactNode {
  const known = VERDICTS.get(verdict);
  if (known === undefined) return null;
  return (
    <span className={`badge ${known[0]}`}>
      {known[1]}
      {rule === '' ? null : (
        <>
          {': '}
          <Untrusted value={rule} maxLength={32} folded />
        </>
      )}
    </span>
  );
}

/** Untrusted output and data that is not public; everything else is told when the call is opened. */
export function LabelBadges({
  trust,
  labels,
}: {
  readonly trust: string;
  readonly labels: readonly string[];
}): ReactNode {
  return (
    <>
      {trust === 'untrusted' ? <span className="badge write">untrusted</span> : null}
      {labels.includes('secret') ? <span className="badge secret">secret</span> : null}
      {labels.includes('internal') ? <span className="badge read">internal</span> : null}
    </>
  );
}
