import type { ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import type { Control } from '../api/types.ts';
import { Dialog } from '../parts/dialog.tsx';
import { ReasonForm } from '../parts/reason-form.tsx';
import { Untrusted } from '../parts/untrusted.tsx';

interface LiftDialogProps {
  readonly api: Api;
  readonly control: Control;
  readonly onClose: () => void;
  readonly onDone: (notice: string) => void;
}

/** Asks why before calls may pass again. */
export function LiftDialog({ api, control, onClose, onDone }: LiftDialogProps): ReactNode {
  return (
    <Dialog title="Lift this control?" onClose={onClose}>
      <ReasonForm
        act="Lift"
        send={(reason) => api.liftControl(control.id, reason)}
        onClose={onClose}
        onDone={() => {
          onClose();
          onDone('Lifted. Hosts let these calls pass as soon as they have the change.');
        }}
      >
        <p>
          Calls of {control.scope}{' '}
          <strong>
            <Untrusted value={control.target} maxLength={80} />
          </strong>{' '}
          will pass again.
        </p>
      </ReasonForm>
    </Dialog>
  );
}
