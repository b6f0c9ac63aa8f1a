/** One call that waits: everything that whoever answers has to know. All texts of it are the agent's or its host's. */
import { useState, type ReactNode } from 'react';
import type { Approval, ApprovalVerdict } from '../api/types.ts';
import { ClassBadge } from '../parts/badges.tsx';
import { ExactText, isLong } from '../parts/exact-text.tsx';
import { sessionLink } from '../parts/route.ts';
import { dateTime, span, unixMs } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';
import { visible } from '../parts/visible.ts';
import { AnswerText } from './approval-answered.tsx';

interface ApprovalCardProps {
  readonly item: Approval;
  readonly now: number;
  /** Requests that are over; those for the same call are shown. */
  readonly earlier: readonly Approval[];
  readonly onAnswer: (verdict: ApprovalVerdict) => void;
}

export function ApprovalCard({ item, now, earlier, onAnswer }: ApprovalCardProps): ReactNode {
  const [isOpen, setOpen] = useState(false);
  const left = unixMs(item.answerableUntil) - now;
  const isOver = left <= 0;
  const hasUnseen = item.args !== null && isLong(item.args) && !isOpen;
  const name = visible(`${item.server}/${item.tool}`).slice(0, 60);
  return (
    <li className={`approval-card ${isOver ? 'over' : ''}`}>
      <article aria-label={`${name}, asked by ${visible(item.agent).slice(0, 40)}`}>
        <header>
          <ClassBadge value={item.toolClass} />
          <h2>
            <span className="faint">
              <Untrusted value={item.server} maxLength={40} /> /{' '}
            </span>
            <Untrusted value={item.tool} maxLength={80} />
          </h2>
          <span className="countdown" role="timer" aria-label="Time left to answer">
            {timeLeft(left)}
          </span>
        </header>
        <Asker item={item} />
        {item.args === null ? (
          <p className="faint">The call has no arguments.</p>
        ) : (
          <ExactText
            value={item.args}
            label="Arguments, exactly as they would leave"
            isOpen={isOpen}
            onOpen={() => setOpen(true)}
          />
        )}
        <Facts item={item} />
        <Earlier of={item} earlier={earlier} />
        <Obstacle item={item} />
        <div className="buttons">
          <button
            type="button"
            disabled={isOver || item.obstacle === 'role'}
            aria-label={`Refuse: ${name}`}
            onClick={() => onAnswer('deny')}
          >
            Refuse…
          </button>
          <button
            type="button"
            className="primary"
            disabled={isOver || item.obstacle !== '' || hasUnseen}
            aria-label={`Approve: ${name}`}
            onClick={() => onAnswer('grant')}
          >
            Approve…
          </button>
        </div>
        <Unseen isShown={hasUnseen && item.obstacle === ''} />
      </article>
    </li>
  );
}

function Unseen({ isShown }: { readonly isShown: boolean }): ReactNode {
  if (!isShown) return null;
  return <p className="faint">All of the arguments must have been shown before they can be approved.</p>;
}

function timeLeft(leftMs: number): string {
  if (!Number.isFinite(leftMs)) return 'expiry unknown';
  return leftMs <= 0 ? 'over: nobody answered in time' : `${span(leftMs)} left`;
}

function Asker({ item }: { readonly item: Approval }): ReactNode {
  return (
    <p>
      <strong>
        <Untrusted value={item.agent} maxLength={60} />
      </strong>{' '}
      asks
      {item.principal === '' ? null : (
        <>
          {' '}
          for <Untrusted value={item.principal} maxLength={60} />
        </>
      )}
      {item.host === '' ? null : (
        <>
          {' '}
          on <Untrusted value={item.host} maxLength={60} />
        </>
      )}
      , in session{' '}
      <a href={sessionLink(item.session, { call: item.eventId })}>
        <Untrusted value={item.session} maxLength={40} folded />
      </a>
      .
    </p>
  );
}

function approversOf({ isFourEyes, principal }: Approval): ReactNode {
  if (!isFourEyes) return 'one person with role responder or admin';
  if (principal === '') return 'four eyes; but the host does not say whose the first are';
  return (
    <>
      four eyes: one person with role responder or admin who is not{' '}
      <Untrusted value={principal} maxLength={60} />
    </>
  );
}

function Facts({ item }: { readonly item: Approval }): ReactNode {
  const rows: readonly (readonly [name: string, value: ReactNode])[] = [
    [
      'Arguments SHA-256',
      <code key="hash" className="hash">
        <Untrusted value={item.argsHash} maxLength={64} />
      </code>,
    ],
    ['Who may approve', approversOf(item)],
    ['Policy', <Untrusted key="policy" value={item.policy} maxLength={120} empty="not named" />],
    ['Asked (UTC)', <Untrusted key="asked" value={dateTime(item.requestedAt)} maxLength={24} />],
    [
      'May be answered until',
      <Untrusted key="until" value={dateTime(item.answerableUntil)} maxLength={24} />,
    ],
    [
      'Request',
      <code key="id" className="hash">
        <Untrusted value={item.id} maxLength={40} />
      </code>,
    ],
  ];
  return (
    <dl className="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What was said of the very same call before: an agent that was told no may ask again. */
function Earlier({
  of,
  earlier,
}: {
  readonly of: Approval;
  readonly earlier: readonly Approval[];
}): ReactNode {
  const same = earlier.filter(
    (one) =>
      one.tenant === of.tenant &&
      one.agent === of.agent &&
      one.server === of.server &&
      one.tool === of.tool &&
      one.argsHash === of.argsHash,
  );
  if (same.length === 0) return null;
  return (
    <div className="note warn">
      The very same call was asked for before:
      <ul>
        {same.map((one) => (
          <li key={one.id}>
            <Untrusted value={dateTime(one.requestedAt)} maxLength={24} />{' '}
            {one.decision === null ? 'nobody answered' : <AnswerText answer={one.decision} />}
          </li>
        ))}
      </ul>
    </div>
  );
}

const OBSTACLES: Readonly<Record<string, string>> = {
  arguments_altered:
    'The arguments on record are not those that the host hashed: nobody can approve this, it can only be refused.',
  principal_unknown:
    'Four eyes are asked for, and the host does not say for whom the agent acts: it can only be refused.',
  four_eyes:
    'The agent acts for you, and four eyes are asked for: somebody else must approve it. You may refuse it.',
};

function Obstacle({ item }: { readonly item: Approval }): ReactNode {
  const words = OBSTACLES[item.obstacle];
  return words === undefined ? null : <p className="note warn">{words}</p>;
}
