/** Alerts: what the rules found, each with its chain of calls. */
import { useCallback, useState, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import { LEVEL_RANK, type Alert } from '../api/types.ts';
import { LevelBadge } from '../parts/badges.tsx';
import { Chain } from '../parts/chain.tsx';
import { useLoad } from '../parts/load.ts';
import { sessionLink } from '../parts/route.ts';
import { Empty, Fault, Loading } from '../parts/states.tsx';
import { dateTime } from '../parts/time.ts';
import { Hash, Untrusted } from '../parts/untrusted.tsx';
import { DispositionDialog, DispositionFact } from './alert-disposition.tsx';

const REFRESH_INTERVAL_MS = 15_000;
const PAGE_SIZE = '100';
/** A disposition is on record when it is answered, and in the list once the store has it. */
const STORED_AFTER_MS = 1_000;

export function AlertsView({ api, news }: { readonly api: Api; readonly news: number }): ReactNode {
  const [minLevel, setMinLevel] = useState<keyof typeof LEVEL_RANK>('informational');
  const load = useCallback((signal: AbortSignal) => api.alerts({ limit: PAGE_SIZE }, signal), [api]);
  const { value, error, reload } = useLoad(load, REFRESH_INTERVAL_MS, news);
  const alerts = (value?.items ?? []).filter((alert) => rankOf(alert) >= LEVEL_RANK[minLevel]);
  return (
    <section aria-labelledby="view-title">
      <header className="view-head">
        <h1 id="view-title">Alerts</h1>
        <p className="faint">
          Chains of calls that a rule found risky. A step opens its session at the call.
        </p>
      </header>
      <div className="toolbar">
        <label className="field">
          <span>Level from</span>
          <select
            data-shortcut="filter"
            value={minLevel}
            onChange={(event) => setMinLevel(event.target.value as keyof typeof LEVEL_RANK)}
          >
            {Object.keys(LEVEL_RANK).map((level) => (
              <option key={level}>{level}</option>
            ))}
          </select>
        </label>
      </div>
      {error === null ? null : <Fault what="alerts" error={error} onRetry={reload} />}
      {value === null && error === null ? <Loading what="alerts" /> : null}
      {value !== null && alerts.length === 0 ? <NoAlerts isFiltered={value.items.length > 0} /> : null}
      <AlertList api={api} alerts={alerts} onJudged={() => setTimeout(reload, STORED_AFTER_MS)} />
      {value?.nextCursor ? (
        <p className="faint">
          Older alerts: <code>npx tripline alerts --until TIME</code>
        </p>
      ) : null}
    </section>
  );
}

function rankOf(alert: Alert): number {
  return (LEVEL_RANK as Readonly<Record<string, number>>)[alert.level] ?? 0;
}

interface AlertListProps {
  readonly api: Api;
  readonly alerts: readonly Alert[];
  readonly onJudged: () => void;
}

function AlertList({ api, alerts, onJudged }: AlertListProps): ReactNode {
  const [judged, setJudged] = useState<Alert | null>(null);
  const [notice, setNotice] = useState('');
  return (
    <>
      <p className="note ok" role="status" hidden={notice === ''}>
        {notice}
      </p>
      <ul className="alerts" aria-label="Alerts, newest first">
        {alerts.map((alert) => (
          <AlertCard key={alert.id} alert={alert} onJudge={() => setJudged(alert)} />
        ))}
      </ul>
      {judged === null ? null : (
        <DispositionDialog
          api={api}
          alert={judged}
          onClose={() => setJudged(null)}
          onDone={(text) => {
            setNotice(text);
            onJudged();
          }}
        />
      )}
    </>
  );
}

interface AlertCardProps {
  readonly alert: Alert;
  readonly onJudge: () => void;
}

function AlertCard({ alert, onJudge }: AlertCardProps): ReactNode {
  return (
    <li className={`alert-card ${alert.level in LEVEL_RANK ? alert.level : ''}`}>
      <article>
        <header>
          <LevelBadge value={alert.level} />
          <h2>
            <Untrusted value={alert.title === '' ? alert.ruleId : alert.title} maxLength={160} />
          </h2>
          <time className="mono faint" dateTime={alert.time}>
            <Untrusted value={dateTime(alert.time)} maxLength={24} />
          </time>
        </header>
        {alert.summary === '' ? null : (
          <p>
            <Untrusted value={alert.summary} maxLength={300} />
          </p>
        )}
        <Chain calls={alert.calls} alertId={alert.id} />
        <AlertFacts alert={alert} />
        <DispositionFact alert={alert} onJudge={onJudge} />
      </article>
    </li>
  );
}

function AlertFacts({ alert }: { readonly alert: Alert }): ReactNode {
  return (
    <dl className="facts">
      <div>
        <dt>Rule</dt>
        <dd>
          <Untrusted value={alert.ruleId} />
        </dd>
      </div>
      <div>
        <dt>Session</dt>
        <dd>
          <a href={sessionLink(alert.session, { alert: alert.id })}>
            <Untrusted value={alert.session} maxLength={28} folded />
          </a>
        </dd>
      </div>
      <div>
        <dt>Mode</dt>
        <dd>
          <Untrusted value={alert.mode} />
          {alert.timeBasis === 'append' ? ' · by time of arrival only' : ''}
        </dd>
      </div>
      {alert.action === null ? null : (
        <div>
          <dt>Asked for</dt>
          <dd>
            kill switch ({alert.action.mode}) on {alert.action.scope}{' '}
            <Untrusted value={alert.action.target} maxLength={40} />
          </dd>
        </div>
      )}
      <div>
        <dt>Alert id</dt>
        <dd>
          <Hash value={alert.id} />
        </dd>
      </div>
    </dl>
  );
}

function NoAlerts({ isFiltered }: { readonly isFiltered: boolean }): ReactNode {
  if (isFiltered)
    return (
      <Empty title="No alert of this level or above">
        <p>Lower the level to see the others.</p>
      </Empty>
    );
  return (
    <Empty title="No alert on record">
      <p>
        Rules watch every call as it happens. To see one fire, run <code>npm run demo</code>; to read what the
        rules look for, <code>npx tripline rules explain</code>.
      </p>
    </Empty>
  );
}
