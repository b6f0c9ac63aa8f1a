/** What became of earlier requests. */
import type { ReactNode } from 'react';
import type { Approval, ApprovalAnswer } from '../api/types.ts';
import { ClassBadge } from '../parts/badges.tsx';
import { Grid, type Column } from '../parts/grid.tsx';
import { dateTime } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';

/** `granted by ann: it is old`. */
export function AnswerText({ answer }: { readonly answer: ApprovalAnswer }): ReactNode {
  return (
    <>
      <strong className={answer.verdict === 'denied' ? 'text-danger' : ''}>
        <Untrusted value={answer.verdict} maxLength={16} folded />
      </strong>{' '}
      by <Untrusted value={answer.by} maxLength={40} folded />:{' '}
      <Untrusted value={answer.reason} maxLength={120} folded />
    </>
  );
}

const COLUMNS: readonly Column<Approval>[] = [
  {
    title: 'Asked (UTC)',
    kind: 'narrow',
    cell: (row) => (
      <span className="mono faint">{<Untrusted value={dateTime(row.requestedAt)} folded />}</span>
    ),
  },
  { title: 'Agent', cell: (row) => <Untrusted value={row.agent} maxLength={24} folded /> },
  {
    title: 'Tool',
    cell: (row) => (
      <span className="tool">
        <Untrusted value={`${row.server} / ${row.tool}`} maxLength={48} folded />
      </span>
    ),
  },
  { title: 'Class', kind: 'narrow', cell: (row) => <ClassBadge value={row.toolClass} /> },
  {
    title: 'Answer',
    cell: (row) =>
      row.decision === null ? (
        <span className="faint">nobody, it is over</span>
      ) : (
        <AnswerText answer={row.decision} />
      ),
  },
];

export function AnsweredList({ items }: { readonly items: readonly Approval[] }): ReactNode {
  return (
    <>
      <h2>Answered, or over</h2>
      <Grid
        label="Answered, or over"
        columns={COLUMNS}
        rows={items}
        keyOf={(row) => `${row.tenant} ${row.id}`}
      />
    </>
  );
}
