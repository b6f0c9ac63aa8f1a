/** One of a few durations. */
import type { ReactNode } from 'react';

interface DurationFieldProps {
  readonly label: string;
  readonly choices: readonly (readonly [label: string, ms: number])[];
  readonly valueMs: number;
  readonly onValue: (ms: number) => void;
}

export function DurationField({ label, choices, valueMs, onValue }: DurationFieldProps): ReactNode {
  return (
    <label className="field">
      <span>{label}</span>
      <select value={valueMs} onChange={(event) => onValue(Number(event.target.value))}>
        {choices.map(([words, ms]) => (
          <option key={ms} value={ms}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
