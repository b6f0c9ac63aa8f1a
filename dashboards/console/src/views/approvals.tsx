/** Calls that wait for a person's yes: what exactly they would do, who asks, how long there is, and what was answered before. */
import { useCallback, useEffect, useState, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import type { Approval, Approvals, ApprovalVerdict } from '../api/types.ts';
import { useLoad, useNow } from '../parts/load.ts';
import { Empty, Fault, Loading } from '../parts/states.tsx';
import { unixMs } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';
import { AnsweredList } from './approval-answered.tsx';
import { ApprovalCard } from './approval-card.tsx';
import { AnswerDialog } from './approval-dialog.tsx';

const REFRESH_INTERVAL_MS = 15_000;
/** What the live tail tells of is in the store a moment later. */
const STORED_AFTER_MS = 1_000;
const PENDING = { state: 'pending', limit: '100' };
const EARLIER = { state: 'all', limit: '20' };

interface Loaded {
  readonly pending: Approvals;
  /** Newest first, whatever became of them. */
  readonly earlier: readonly Approval[];
}

/** `count` a moment after it last grew. */
function useSettled(count: number): number {
  const [settled, setSettled] = useState(count);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(count), STORED_AFTER_MS);
    return () => clearTimeout(timer);
  }, [count]);
  return settled;
}

interface Answering {
  readonly shown: Approval;
  readonly verdict: ApprovalVerdict;
}

export function ApprovalsView({ api, news }: { readonly api: Api; readonly news: number }): ReactNode {
  const load = useCallback(
    async (signal: AbortSignal): Promise<Loaded> => {
      const [pending, all] = await Promise.all([
        api.approvals(PENDING, signal),
        api.approvals(EARLIER, signal),
      ]);
      return { pending, earlier: all.items.filter((item) => item.state !== 'pending') };
    },
    [api],
  );
  const { value, error, reload } = useLoad(load, REFRESH_INTERVAL_MS, useSettled(news));
  const [answering, setAnswering] = useState<Answering | null>(null);
  const [notice, setNotice] = useState('');
  return (
    <section aria-labelledby="view-title">
      <header className="view-head">
        <h1 id="view-title">Approvals</h1>
        <p className="faint">
          Calls that a policy holds back until a person says yes. A yes is for exactly these arguments, once.
        </p>
      </header>
      <p className="note ok" role="status" hidden={notice === ''}>
        {notice}
      </p>
      {error === null ? null : <Fault what="approvals" error={error} onRetry={reload} />}
      {value === null && error === null ? <Loading what="approvals" /> : null}
      {value === null ? null : <Waiting loaded={value} onAnswer={setAnswering} />}
      {value === null || value.earlier.length === 0 ? null : <AnsweredList items={value.earlier} />}
      {answering === null ? null : (
        <AnswerDialog
          api={api}
          {...answering}
          onClose={() => setAnswering(null)}
          onFault={reload}
          onDone={(text) => {
            setAnswering(null);
            setNotice(text);
            reload();
          }}
        />
      )}
    </section>
  );
}

/** What is over soonest comes first. */
function bySoonest(items: readonly Approval[]): readonly Approval[] {
  return items.toSorted((a, b) => unixMs(a.answerableUntil) - unixMs(b.answerableUntil));
}

interface WaitingProps {
  readonly loaded: Loaded;
  readonly onAnswer: (answering: Answering) => void;
}

function Waiting({ loaded, onAnswer }: WaitingProps): ReactNode {
  const { items, asker, hasMore } = loaded.pending;
  const now = useNow(1_000);
  if (items.length === 0)
    return (
      <Empty title="Nothing waits for approval">
        <p>
          Calls come here that the policy of a host lists under <code>approvals</code>. To see what a policy
          would hold back: <code>npx tripline policy test FILE</code>
        </p>
      </Empty>
    );
  return (
    <>
      {asker.mayAnswer ? null : (
        <p className="note warn">
          You may read these and not answer them: <Untrusted value={asker.id} maxLength={40} /> has role{' '}
          <Untrusted value={asker.role} maxLength={20} />, and answers take responder or admin.
        </p>
      )}
      <ul className="approvals" aria-label="Waiting, soonest over first">
        {bySoonest(items).map((item) => (
          <ApprovalCard
            key={`${item.tenant} ${item.id}`}
            item={item}
            now={now}
            earlier={loaded.earlier}
            onAnswer={(verdict) => onAnswer({ shown: item, verdict })}
          />
        ))}
      </ul>
      {hasMore ? (
        <p className="faint">
          There are more: <code>npx tripline approve</code> lists all.
        </p>
      ) : null}
    </>
  );
}
