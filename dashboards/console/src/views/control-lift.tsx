import { useState, type ReactNode } from 'react';
import type { Api, ApiError } from '../api/client.ts';
import type { Control } from '../api/types.ts';
import { Dialog } from '../parts/dialog.tsx';
import { adviceFor, asApiError } from '../parts/states.tsx';
import { Untrusted } from '../parts/untrusted.tsx';

interface LiftDialogProps {
  readonly api: Api;
  readonly control: Control;
  readonly onClose: () => void;
  readonly onDone: (notice: string) => void;
}

/** Asks why before calls may pass again. */
export function LiftDialog({ api, control, onClose, onDone }: LiftDialogProps): ReactNode {
  const [reason, setReason] = useState('');
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    setBusy(true);
    try {
      await api.liftControl(control.id, reason.trim());
      onClose();
      onDone('Lifted. Hosts let these calls pass as soon as they have the change.');
    } catch (failure) {
      setError(asApiError(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog title="Lift this control?" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <p>
          Calls of {control.scope}{' '}
          <strong>
            <Untrusted value={control.target} maxLength={80} />
          </strong>{' '}
          will pass again.
        </p>
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
          <button type="submit" className="primary" disabled={isBusy || reason.trim() === ''}>
            Lift
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function FormFault({ error }: { readonly error: ApiError | null }): ReactNode {
  if (error === null) return null;
  return (
    <p className="note wrong" role="alert">
      <Untrusted value={error.message} maxLength={300} /> {adviceFor(error)}
    </p>
  );
}
