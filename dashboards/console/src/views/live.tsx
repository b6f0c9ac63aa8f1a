/** Live tail: every event as the service takes it in. */
import { memo, useMemo, useState, type ReactNode } from 'react';
import type { TailRow } from '../api/types.ts';
import { ClassBadge, OutcomeBadge } from '../parts/badges.tsx';
import { Grid, type Column } from '../parts/grid.tsx';
import { sessionLink } from '../parts/route.ts';
import { Empty } from '../parts/states.tsx';
import { clockTime } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';
import { MAX_TAIL_ROWS, type Tail } from '../parts/use-tail.ts';

const KINDS: ReadonlyMap<string, string> = new Map([
  ['call.intent', 'call'],
  ['call.result', 'result'],
  ['stream.open', 'stream opened'],
  ['stream.close', 'stream closed'],
  ['stream.heartbeat', 'heartbeat'],
  ['stream.gap', 'gap'],
  ['registry.snapshot', 'tools listed'],
  ['mcp.request', 'request'],
  ['mcp.result', 'answer'],
  ['mcp.notification', 'notification'],
  ['peer.info', 'peers named'],
  ['control.ack', 'kill switch acknowledged'],
]);

const COLUMNS: readonly Column<TailRow>[] = [
  {
    title: 'Time (UTC)',
    cell: (row) => (
      <span className="mono faint">
        <Untrusted value={clockTime(row.time)} maxLength={24} folded />
      </span>
    ),
  },
  { title: 'Event', cell: eventCell },
  {
    title: 'Tool',
    cell: (row) => (
      <strong className="tool">
        <Untrusted value={row.tool === '' ? row.title : row.tool} maxLength={30} folded />
      </strong>
    ),
  },
  { title: 'Class', cell: (row) => <ClassBadge value={row.toolClass} /> },
  { title: 'Destination', cell: (row) => <Untrusted value={row.destHost} maxLength={26} folded /> },
  { title: 'Server', kind: 'narrow', cell: (row) => <Untrusted value={row.server} maxLength={16} folded /> },
  { title: 'Agent', kind: 'narrow', cell: (row) => <Untrusted value={row.agent} maxLength={18} folded /> },
  {
    title: 'Session',
    kind: 'narrow',
    cell: (row) => <Untrusted value={row.session} maxLength={16} folded />,
  },
];

/** A result is shown by how it ended. */
function eventCell(row: TailRow): ReactNode {
  if ((row.kind === 'call.result' || row.kind === 'mcp.result') && row.outcome !== '')
    return <OutcomeBadge value={row.outcome} />;
  return <Untrusted value={KINDS.get(row.kind) ?? row.kind} maxLength={24} folded />;
}

function rowClass(row: TailRow): string {
  if (row.kind === 'alert') return 'is-alert';
  if (row.outcome === 'refused' || row.verdict === 'refuse') return 'is-refused';
  return row.kind === 'call.intent' ? 'is-intent' : '';
}

function matches(row: TailRow, words: readonly string[]): boolean {
  const hay =
    `${row.kind} ${row.session} ${row.agent} ${row.server} ${row.tool} ${row.toolClass} ${row.outcome} ${row.destHost}`.toLowerCase();
  return words.every((word) => hay.includes(word));
}

const Rows = memo(function Rows({ rows }: { readonly rows: readonly TailRow[] }): ReactNode {
  return (
    <Grid
      label="Live events, newest first"
      columns={COLUMNS}
      rows={rows}
      keyOf={(row) => row.key}
      rowClass={rowClass}
      onOpen={(row) => {
        window.location.hash = sessionLink(
          row.session,
          row.alertId === '' ? { call: row.eventId } : { alert: row.alertId },
        );
      }}
    />
  );
});

export function LiveView({ tail }: { readonly tail: Tail }): ReactNode {
  const [filter, setFilter] = useState('');
  const words = useMemo(
    () =>
      filter
        .toLowerCase()
        .split(/\s+/)
        .filter((word) => word !== ''),
    [filter],
  );
  const rows = useMemo(() => tail.rows.filter((row) => matches(row, words)), [tail.rows, words]);
  return (
    <section aria-labelledby="view-title">
      <header className="view-head">
        <h1 id="view-title">Live</h1>
        <p className="faint">
          {tail.seen.toLocaleString('en')} events since this page was opened; the newest {MAX_TAIL_ROWS} are
          kept here.
        </p>
      </header>
      <div className="toolbar" role="search">
        <label className="field grow">
          <span>Filter</span>
          <input
            type="search"
            data-shortcut="filter"
            placeholder="any part of tool, class, outcome, host, server, agent or session"
            value={filter}
            onChange={(event) => setFilter(event.target.value)}
          />
        </label>
        <button type="button" aria-pressed={tail.isPaused} onClick={tail.togglePause}>
          {tail.isPaused ? `Continue${tail.waiting > 0 ? ` (${tail.waiting} new)` : ''}` : 'Pause'}
        </button>
        <button type="button" onClick={tail.clear}>
          Clear
        </button>
      </div>
      {tail.dropped > 0 ? (
        <p className="note warn" role="status">
          {tail.dropped.toLocaleString('en')} events were not shown here because this page read too slowly.
          They are on record.
        </p>
      ) : null}
      {rows.length > 0 ? <Rows rows={rows} /> : <NoRows isFiltered={filter !== '' && tail.rows.length > 0} />}
    </section>
  );
}

function NoRows({ isFiltered }: { readonly isFiltered: boolean }): ReactNode {
  if (isFiltered)
    return (
      <Empty title="No event here matches the filter">
        <p>New events are compared as they come. Clear the filter to see all of them.</p>
      </Empty>
    );
  return (
    <Empty title="Waiting for the first event">
      <p>Put a tap in front of an MCP server and let an agent call a tool:</p>
      <pre>
        <code>npx tripline tap --server NAME -- COMMAND ARGS…</code>
      </pre>
    </Empty>
  );
}
