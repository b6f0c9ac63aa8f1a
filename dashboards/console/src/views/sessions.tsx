/** Sessions: one run of one agent on one host, newest first. */
import { useCallback, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import type { SessionSummary } from '../api/types.ts';
import { Grid, type Column } from '../parts/grid.tsx';
import { useLoad } from '../parts/load.ts';
import { sessionLink } from '../parts/route.ts';
import { Empty, Fault, Loading } from '../parts/states.tsx';
import { dateTime, span, unixMs } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';

const REFRESH_INTERVAL_MS = 15_000;

const COLUMNS: readonly Column<SessionSummary>[] = [
  {
    title: 'Session',
    cell: (row) => (
      <strong className="tool">
        <Untrusted value={row.session} maxLength={40} folded />
      </strong>
    ),
  },
  { title: 'Agent', cell: (row) => <Untrusted value={row.agents.join(', ')} maxLength={32} folded /> },
  { title: 'Calls', kind: 'number', cell: (row) => row.calls.toLocaleString('en') },
  {
    title: 'Refused',
    kind: 'number',
    cell: (row) =>
      row.refused > 0 ? <span className="text-danger">{row.refused}</span> : <span className="faint">0</span>,
  },
  {
    title: 'Alerts',
    kind: 'number',
    cell: (row) =>
      row.alerts > 0 ? <span className="text-danger">{row.alerts}</span> : <span className="faint">0</span>,
  },
  {
    title: 'First event (UTC)',
    kind: 'narrow',
    cell: (row) => <span className="mono faint">{<Untrusted value={dateTime(row.firstTime)} folded />}</span>,
  },
  { title: 'Lasted', kind: 'number', cell: lasted },
];

function lasted(row: SessionSummary): ReactNode {
  const ms = unixMs(row.lastTime) - unixMs(row.firstTime);
  return Number.isFinite(ms) ? span(ms) : '';
}

export function SessionsView({ api }: { readonly api: Api }): ReactNode {
  const load = useCallback((signal: AbortSignal) => api.sessions({ limit: '200' }, signal), [api]);
  const { value, error, reload } = useLoad(load, REFRESH_INTERVAL_MS);
  return (
    <section aria-labelledby="view-title">
      <header className="view-head">
        <h1 id="view-title">Sessions</h1>
        <p className="faint">One run of one agent on one host. Enter opens the timeline.</p>
      </header>
      {error === null ? null : <Fault what="sessions" error={error} onRetry={reload} />}
      {value === null && error === null ? <Loading what="sessions" /> : null}
      {value !== null && value.items.length === 0 ? (
        <Empty title="No session on record">
          <p>
            A session begins with its first event. Start a host with <code>npx tripline tap -- COMMAND</code>.
          </p>
        </Empty>
      ) : null}
      {value !== null && value.items.length > 0 ? (
        <Grid
          label="Sessions, newest first"
          columns={COLUMNS}
          rows={value.items}
          keyOf={(row) => row.session}
          rowClass={(row) => (row.alerts > 0 ? 'is-alert' : '')}
          onOpen={(row) => {
            window.location.hash = sessionLink(row.session);
          }}
        />
      ) : null}
      {value?.nextCursor ? (
        <p className="faint">
          Older sessions: <code>npx tripline sessions</code>
        </p>
      ) : null}
    </section>
  );
}
