/** Sets a control, in two steps: fill in, then read back in words and confirm. */
import { useState, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import { MODES, SCOPES, type ControlDraft, type Mode, type Scope } from '../api/types.ts';
import { Dialog } from '../parts/dialog.tsx';
import { DurationField } from '../parts/duration-field.tsx';
import { FormFault } from '../parts/states.tsx';
import { useSubmit } from '../parts/submit.ts';
import { span } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';

const TTLS: readonly (readonly [label: string, ttlMs: number])[] = [
  ['15 minutes', 900_000],
  ['1 hour', 3_600_000],
  ['8 hours', 28_800_000],
  ['1 day', 86_400_000],
  ['7 days', 604_800_000],
];

interface ControlFormProps {
  readonly api: Api;
  readonly onDone: (notice: string) => void;
}

interface Values {
  readonly scope: Scope;
  readonly target: string;
  readonly mode: Mode;
  readonly ttlMs: number;
  readonly reason: string;
}

const START: Values = { scope: 'tool', target: '', mode: 'enforce', ttlMs: 3_600_000, reason: '' };

function needsTarget(scope: Scope): boolean {
  return scope !== 'tenant' && scope !== 'global';
}

function draftOf(values: Values): ControlDraft {
  const { scope, mode, ttlMs } = values;
  const rest = { scope, mode, ttlMs, reason: values.reason.trim() };
  return needsTarget(scope) ? { ...rest, target: values.target.trim() } : rest;
}

export function ControlForm({ api, onDone }: ControlFormProps): ReactNode {
  const [values, setValues] = useState<Values>(START);
  const [isConfirming, setConfirming] = useState(false);
  const change = (part: Partial<Values>): void => setValues((last) => ({ ...last, ...part }));
  return (
    <form
      className="control-form"
      aria-labelledby="control-form-title"
      onSubmit={(event) => {
        event.preventDefault();
        setConfirming(true);
      }}
    >
      <h2 id="control-form-title">Stop calls</h2>
      <ControlFields values={values} onChange={change} />
      <div className="buttons">
        <button type="submit" className="danger">
          Review…
        </button>
      </div>
      {isConfirming ? (
        <ConfirmDialog
          api={api}
          draft={draftOf(values)}
          onClose={() => setConfirming(false)}
          onDone={(notice) => {
            setValues(START);
            onDone(notice);
          }}
        />
      ) : null}
    </form>
  );
}

interface ControlFieldsProps {
  readonly values: Values;
  readonly onChange: (part: Partial<Values>) => void;
}

function ControlFields({ values, onChange }: ControlFieldsProps): ReactNode {
  return (
    <>
      <label className="field">
        <span>Scope</span>
        <select value={values.scope} onChange={(event) => onChange({ scope: event.target.value as Scope })}>
          {Object.keys(SCOPES).map((scope) => (
            <option key={scope}>{scope}</option>
          ))}
        </select>
        <small className="faint">{SCOPES[values.scope]}</small>
      </label>
      {needsTarget(values.scope) ? (
        <label className="field">
          <span>Name of the {values.scope}</span>
          <input
            required
            maxLength={256}
            pattern=".*\S.*"
            autoComplete="off"
            spellCheck={false}
            value={values.target}
            onChange={(event) => onChange({ target: event.target.value })}
          />
        </label>
      ) : null}
      <div className="field-row">
        <label className="field">
          <span>Mode</span>
          <select value={values.mode} onChange={(event) => onChange({ mode: event.target.value as Mode })}>
            {Object.keys(MODES).map((mode) => (
              <option key={mode}>{mode}</option>
            ))}
          </select>
          <small className="faint">{MODES[values.mode]}</small>
        </label>
        <DurationField
          label="Expires after"
          choices={TTLS}
          valueMs={values.ttlMs}
          onValue={(ttlMs) => onChange({ ttlMs })}
        />
      </div>
      <label className="field">
        <span>Reason (goes on record, and to the agent)</span>
        <textarea
          required
          maxLength={1024}
          rows={2}
          value={values.reason}
          onChange={(event) => onChange({ reason: event.target.value })}
        />
      </label>
    </>
  );
}

/** 128 random bits; crypto.randomUUID is missing on pages that came over plain HTTP from another host. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}

interface ConfirmDialogProps {
  readonly api: Api;
  readonly draft: ControlDraft;
  readonly onClose: () => void;
  readonly onDone: (notice: string) => void;
}

function ConfirmDialog({ api, draft, onClose, onDone }: ConfirmDialogProps): ReactNode {
  const [key] = useState(newKey);
  const { error, isBusy, submit } = useSubmit(() => api.setControl(draft, key), {
    onDone: () => {
      onClose();
      onDone('Set. Hosts enforce it as soon as they have it; they acknowledge in the live tail.');
    },
  });
  return (
    <Dialog title={draft.mode === 'enforce' ? 'Refuse these calls?' : 'Watch these calls?'} onClose={onClose}>
      <p>
        {SCOPES[draft.scope]}
        {draft.target === undefined ? null : (
          <>
            :{' '}
            <strong className="tool">
              <Untrusted value={draft.target} maxLength={120} />
            </strong>
          </>
        )}
      </p>
      <p>
        {MODES[draft.mode]}, for {span(draft.ttlMs)}. Reason:{' '}
        <Untrusted value={draft.reason} maxLength={200} empty="none" />
      </p>
      <FormFault error={error} />
      <div className="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="danger" disabled={isBusy} onClick={submit}>
          {draft.mode === 'enforce' ? 'Stop calls' : 'Set shadow'}
        </button>
      </div>
    </Dialog>
  );
}
