/** The answer: what it is to, once more and exactly, why, and for how long a yes may be used. */
import { useState, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import type { Approval, ApprovalVerdict } from '../api/types.ts';
import { Dialog } from '../parts/dialog.tsx';
import { DurationField } from '../parts/duration-field.tsx';
import { ExactText } from '../parts/exact-text.tsx';
import { ReasonForm } from '../parts/reason-form.tsx';
import { Untrusted } from '../parts/untrusted.tsx';

const TTLS: readonly (readonly [label: string, ttlMs: number])[] = [
  ['1 minute', 60_000],
  ['10 minutes', 600_000],
  ['1 hour', 3_600_000],
  ['1 day', 86_400_000],
];
const DEFAULT_TTL_MS = 600_000;

interface AnswerDialogProps {
  readonly api: Api;
  readonly shown: Approval;
  readonly verdict: ApprovalVerdict;
  readonly onClose: () => void;
  readonly onDone: (notice: string) => void;
  readonly onFault: () => void;
}

export function AnswerDialog({ api, shown, verdict, ...on }: AnswerDialogProps): ReactNode {
  const [ttlMs, setTtlMs] = useState(DEFAULT_TTL_MS);
  const isGrant = verdict === 'grant';
  return (
    <Dialog title={isGrant ? 'Approve this call?' : 'Refuse this call?'} onClose={on.onClose}>
      <ReasonForm
        act={isGrant ? 'Approve, once' : 'Refuse'}
        isDangerous={isGrant}
        send={(reason) => api.answerApproval(shown, { verdict, reason, ttlMs })}
        onClose={on.onClose}
        onFault={on.onFault}
        onDone={() =>
          on.onDone(
            isGrant
              ? 'Approved and on record. The call may leave once, as soon as its host has the answer.'
              : 'Refused and on record. The host tells the agent.',
          )
        }
      >
        <p>
          <strong>
            <Untrusted value={shown.agent} maxLength={60} />
          </strong>{' '}
          {isGrant ? 'will call' : 'will not call'}{' '}
          <strong className="tool">
            <Untrusted value={`${shown.server} / ${shown.tool}`} maxLength={120} />
          </strong>{' '}
          {shown.args === null ? 'without arguments.' : 'with exactly:'}
        </p>
        {shown.args === null ? null : (
          <ExactText value={shown.args} label="Arguments" isOpen onOpen={() => undefined} />
        )}
        {isGrant ? (
          <DurationField label="May be used for" choices={TTLS} valueMs={ttlMs} onValue={setTtlMs} />
        ) : null}
      </ReasonForm>
    </Dialog>
  );
}
