/** What people found an alert to be: shown on its card, said in a dialog. */
import { useState, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import { DISPOSITIONS, type Alert, type DispositionValue } from '../api/types.ts';
import { Dialog } from '../parts/dialog.tsx';
import { ReasonForm } from '../parts/reason-form.tsx';
import { dateTime } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';
import { visible } from '../parts/visible.ts';

/** `benign_true_positive` in words. */
const wordsOf = (value: string): string => value.replaceAll('_', ' ');
const titleOf = (alert: Alert): string => (alert.title === '' ? alert.ruleId : alert.title);

interface DispositionFactProps {
  readonly alert: Alert;
  readonly onJudge: () => void;
}

export function DispositionFact({ alert, onJudge }: DispositionFactProps): ReactNode {
  const { disposition } = alert;
  const act = disposition === null ? 'Set disposition' : 'Change disposition';
  return (
    <div className="disposition">
      {disposition === null ? (
        <p className="faint">No disposition yet.</p>
      ) : (
        <p>
          <strong>
            <Untrusted value={wordsOf(disposition.value)} maxLength={40} />
          </strong>
          : <Untrusted value={disposition.reason} maxLength={200} />{' '}
          <span className="faint">
            <Untrusted value={disposition.actor} maxLength={40} />,{' '}
            <time dateTime={disposition.time}>
              <Untrusted value={dateTime(disposition.time)} maxLength={24} />
            </time>
          </span>
        </p>
      )}
      <button type="button" onClick={onJudge} aria-label={`${act}: ${visible(titleOf(alert)).slice(0, 80)}`}>
        {act}…
      </button>
    </div>
  );
}

interface DispositionDialogProps {
  readonly api: Api;
  readonly alert: Alert;
  readonly onClose: () => void;
  readonly onDone: (notice: string) => void;
}

/** Nothing is chosen before: a verdict is not to be had by pressing Enter. */
export function DispositionDialog({ api, alert, onClose, onDone }: DispositionDialogProps): ReactNode {
  const [value, setValue] = useState<DispositionValue | ''>('');
  const send = async (reason: string): Promise<void> => {
    if (value !== '') await api.setDisposition(alert.id, { disposition: value, reason });
  };
  return (
    <Dialog title="What was this alert?" onClose={onClose}>
      <ReasonForm
        act="Put on record"
        send={send}
        isBlocked={value === ''}
        onClose={onClose}
        onDone={() => {
          onClose();
          onDone(`On record as ${wordsOf(value)}.`);
        }}
      >
        <p>
          <Untrusted value={titleOf(alert)} maxLength={160} />
        </p>
        <DispositionField value={value} onValue={setValue} />
      </ReasonForm>
    </Dialog>
  );
}

interface DispositionFieldProps {
  readonly value: DispositionValue | '';
  readonly onValue: (value: DispositionValue | '') => void;
}

function DispositionField({ value, onValue }: DispositionFieldProps): ReactNode {
  return (
    <label className="field">
      <span>Disposition</span>
      <select
        required
        value={value}
        onChange={(event) => onValue(event.target.value as DispositionValue | '')}
      >
        <option value="">choose…</option>
        {Object.keys(DISPOSITIONS).map((name) => (
          <option key={name} value={name}>
            {wordsOf(name)}
          </option>
        ))}
      </select>
      <small className="faint">{value === '' ? '' : DISPOSITIONS[value]}</small>
    </label>
  );
}
