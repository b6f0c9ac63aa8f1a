/** Ledger: what is chained and signed, how far behind it is, and how somebody who trusts nobody here checks it. */
import { useCallback, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import type { Ledger, LedgerLog } from '../api/types.ts';
import { Grid, type Column } from '../parts/grid.tsx';
import { useLoad, useNow } from '../parts/load.ts';
import { Empty, Fault, Loading } from '../parts/states.tsx';
import { dateTime, span, unixMs } from '../parts/time.ts';
import { Hash, Untrusted } from '../parts/untrusted.tsx';

const REFRESH_INTERVAL_MS = 15_000;

const COLUMNS: readonly Column<LedgerLog>[] = [
  {
    title: 'Topic',
    cell: (log) => (
      <strong className="tool">
        <Untrusted value={log.topic} folded />
      </strong>
    ),
  },
  { title: 'Partition', kind: 'number', cell: (log) => log.partition },
  { title: 'Tenant', kind: 'narrow', cell: (log) => <Untrusted value={log.tenant} maxLength={24} folded /> },
  { title: 'Entries', kind: 'number', cell: (log) => log.entries.toLocaleString('en') },
  { title: 'Signed', kind: 'number', cell: signedSize },
  { title: 'Merkle root', cell: (log) => <Hash value={log.root} digits={16} /> },
  {
    title: 'Last signed (UTC)',
    kind: 'narrow',
    cell: (log) => (
      <span className="mono">{<Untrusted value={dateTime(log.signedAt)} empty="not signed" />}</span>
    ),
  },
  { title: 'Findings', kind: 'narrow', cell: (log) => <span className="text-warn">{log.findings}</span> },
  { title: 'Behind', kind: 'number', cell: (log) => (log.lag === null ? '—' : log.lag.toLocaleString('en')) },
];

function signedSize(log: LedgerLog): ReactNode {
  const text = log.size.toLocaleString('en');
  if (log.size > log.entries) return <span className="text-danger">{text}</span>;
  return log.size < log.entries ? <span className="text-warn">{text}</span> : text;
}

export function LedgerView({ api }: { readonly api: Api }): ReactNode {
  const load = useCallback((signal: AbortSignal) => api.ledger(signal), [api]);
  const { value, error, reload } = useLoad(load, REFRESH_INTERVAL_MS);
  return (
    <section aria-labelledby="view-title">
      <header className="view-head">
        <h1 id="view-title">Ledger</h1>
        <p className="faint">
          Every call is an entry of an append-only log; each batch ends in a signed head.
        </p>
      </header>
      {error === null ? null : <Fault what="the ledger" error={error} onRetry={reload} />}
      {value === null && error === null ? <Loading what="the ledger" /> : null}
      {value === null ? null : <LedgerBody ledger={value} />}
    </section>
  );
}

function LedgerBody({ ledger }: { readonly ledger: Ledger }): ReactNode {
  if (ledger.logs.length === 0)
    return (
      <Empty title="No entry yet">
        <p>The first head is signed when the first event has been stored.</p>
      </Empty>
    );
  return (
    <>
      <LedgerSummary ledger={ledger} />
      <Grid
        label="Logs of the ledger"
        columns={COLUMNS}
        rows={ledger.logs}
        keyOf={(log) => `${log.logId}/${log.topic}/${log.partition}`}
      />
      <Verdict ledger={ledger} />
    </>
  );
}

function LedgerSummary({ ledger }: { readonly ledger: Ledger }): ReactNode {
  const now = useNow(1_000);
  const entries = ledger.logs.reduce((sum, log) => sum + log.entries, 0);
  const signed = Math.max(...ledger.logs.map((log) => unixMs(log.signedAt) || 0));
  const lag = ledger.lag ?? ledger.logs.reduce((sum, log) => sum + (log.lag ?? 0), 0);
  return (
    <dl className="figures">
      <div>
        <dt>Entries</dt>
        <dd>{entries.toLocaleString('en')}</dd>
      </div>
      <div>
        <dt>Logs</dt>
        <dd>{ledger.logs.length}</dd>
      </div>
      <div>
        <dt>Last head signed</dt>
        <dd>{signed === 0 ? 'never' : `${span(now - signed)} ago`}</dd>
      </div>
      <div>
        <dt>Records not yet entered</dt>
        <dd className={lag > 0 ? 'text-warn' : ''}>{lag.toLocaleString('en')}</dd>
      </div>
    </dl>
  );
}

/** What the page can tell from the answer alone; never more than that. */
function verdictOf(ledger: Ledger): { readonly tone: string; readonly words: string } {
  const shrunk = ledger.logs.filter((log) => log.entries < log.size).length;
  if (shrunk > 0)
    return {
      tone: 'wrong',
      words: `${shrunk} of ${ledger.logs.length} logs hold fewer entries than were signed. Rows are missing: keep everything, and run the check below.`,
    };
  const open = ledger.logs.filter((log) => log.entries > log.size).length;
  if (open > 0)
    return {
      tone: 'warn',
      words: `${open} of ${ledger.logs.length} logs have entries that wait for their signature.`,
    };
  return { tone: 'ok', words: 'Every log holds as many entries as its newest signed head covers.' };
}

function Verdict({ ledger }: { readonly ledger: Ledger }): ReactNode {
  const { tone, words } = verdictOf(ledger);
  return (
    <div className="verdict">
      <h2>What this says, and what it does not</h2>
      <p className={`note ${tone}`}>{words}</p>
      <p>
        Before each signature the service reads its rows back and checks that the new head extends the one
        signed before. This page shows what the service says of itself: whoever runs it could show anything.
        To check without trusting it, recompute every hash and compare with heads that you keep elsewhere:
      </p>
      <pre>
        <code>npx tripline verify</code>
      </pre>
      <pre>
        <code>{'npx tripline export --out bundle\nnpx tripline verify --export bundle'}</code>
      </pre>
      <p className="faint">
        Exit status: 0 verified and witnessed, 10 verified, 20 incomplete, 30 diverges from a known head, 40
        invalid.
      </p>
      {ledger.keyIds.map((keyId) => (
        <p key={keyId} className="faint">
          Signing key <Hash value={keyId} digits={16} />
        </p>
      ))}
    </div>
  );
}
