/** The form of a dialog that puts something on record: its fields, why, what went wrong, cancel and do. */
import { useState, type ReactNode } from 'react';
import { FormFault } from './states.tsx';
import { useSubmit } from './submit.ts';

interface ReasonFormProps {
  /** Name of the button that does it. */
  readonly act: string;
  /** Sends it; the reason is trimmed and not empty. */
  readonly send: (reason: string) => Promise<void>;
  readonly onDone: () => void;
  readonly onFault?: () => void;
  readonly onClose: () => void;
  /** Something else is missing before it can be done. */
  readonly isBlocked?: boolean;
  readonly isDangerous?: boolean;
  readonly children: ReactNode;
}

export function ReasonForm({ act, send, onClose, children, ...more }: ReasonFormProps): ReactNode {
  const [reason, setReason] = useState('');
  const { onDone, onFault, isBlocked = false, isDangerous = false } = more;
  const ends = onFault === undefined ? { onDone } : { onDone, onFault };
  const { error, isBusy, submit } = useSubmit(() => send(reason.trim()), ends);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {children}
      <label className="field">
        <span>Reason (goes on record)</span>
        <textarea
          required
          maxLength={1024}
          rows={2}
          value={reason}
          onChange={(event) => setReason(event.target.value)}
        />
      </label>
      <FormFault error={error} />
      <div className="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="submit"
          className={isDangerous ? 'danger' : 'primary'}
          disabled={isBusy || isBlocked || reason.trim() === ''}
        >
          {act}
        </button>
      </div>
    </form>
  );
}
