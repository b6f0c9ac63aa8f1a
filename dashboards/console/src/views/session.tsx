/** One session as a timeline: its calls in order, alerts drawn on them, and how decisions led to calls. */
import { useCallback, useMemo, useState, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import type { Alert, Session, Stream } from '../api/types.ts';
import { LevelBadge } from '../parts/badges.tsx';
import { Chain } from '../parts/chain.tsx';
import { useLoad } from '../parts/load.ts';
import { sessionLink, type Route } from '../parts/route.ts';
import { Empty, Fault, Loading } from '../parts/states.tsx';
import { Untrusted } from '../parts/untrusted.tsx';
import { DecisionGraph } from './session-decisions.tsx';
import { Timeline } from './session-timeline.tsx';

const REFRESH_INTERVAL_MS = 15_000;

export function SessionView({ api, route }: { readonly api: Api; readonly route: Route }): ReactNode {
  const load = useCallback((signal: AbortSignal) => api.session(route.session, signal), [api, route.session]);
  const { value, error, reload } = useLoad(load, REFRESH_INTERVAL_MS);
  return (
    <section aria-labelledby="view-title">
      <header className="view-head">
        <p className="crumbs">
          <a href="#/sessions">Sessions</a>
        </p>
        <h1 id="view-title">
          <Untrusted value={route.session} maxLength={60} />
        </h1>
      </header>
      {error === null ? null : <Fault what="this session" error={error} onRetry={reload} />}
      {value === null && error === null ? <Loading what="the session" /> : null}
      {value === null ? null : <SessionBody session={value} route={route} />}
    </section>
  );
}

/** Step labels of the chosen alert by event id. */
export type Marks = ReadonlyMap<string, string>;

function marksOf(alert: Alert | undefined): Marks {
  const marks = new Map<string, string>();
  alert?.calls.forEach((call, index) => marks.set(call.eventId, `${index + 1} ${call.step}`));
  return marks;
}

function SessionBody({ session, route }: { readonly session: Session; readonly route: Route }): ReactNode {
  const [chosen, setChosen] = useState(route.alert);
  const alert = session.alerts.find((item) => item.id === chosen) ?? session.alerts[0];
  const marks = useMemo(() => marksOf(alert), [alert]);
  const refused = session.calls.filter((call) => call.outcome === 'refused').length;
  if (session.calls.length === 0 && session.alerts.length === 0)
    return (
      <Empty title="No call on record yet">
        <p>
          The session is known, but none of its calls has reached the store. This page looks again by itself.
        </p>
      </Empty>
    );
  return (
    <>
      <p className="summary">
        <span>
          Agent{' '}
          <strong>
            <Untrusted value={session.agents.join(', ')} maxLength={60} empty="not named" />
          </strong>
        </span>
        <span>
          <strong>{session.calls.length.toLocaleString('en')}</strong> calls
        </span>
        <span className={refused > 0 ? 'text-danger' : ''}>
          <strong>{refused}</strong> refused
        </span>
        <span className={session.alerts.length > 0 ? 'text-danger' : ''}>
          <strong>{session.alerts.length}</strong> alerts
        </span>
      </p>
      <Producers streams={session.streams} />
      {session.alerts.length > 0 ? (
        <SessionAlerts alerts={session.alerts} chosen={alert?.id ?? ''} onChoose={setChosen} />
      ) : null}
      {session.isTruncated ? (
        <p className="note warn">
          Only the first part is shown. All of it: <code>npx tripline export --session ID</code>
        </p>
      ) : null}
      <Timeline calls={session.calls} streams={session.streams} marks={marks} focusOn={route.call} />
      <DecisionGraph session={session} />
      <p className="faint">
        Address of this view: <a href={sessionLink(session.session)}>without marks</a>
      </p>
    </>
  );
}

/** Whether the session's hosts sign what they send. */
function Producers({ streams }: { readonly streams: readonly Stream[] }): ReactNode {
  if (streams.length === 0) return null;
  const entries = streams.reduce((sum, one) => sum + one.entries, 0);
  const signed = streams.reduce((sum, one) => sum + one.signed, 0);
  const tone = signed === entries ? 'ok' : signed === 0 ? 'neutral' : 'write';
  const words = signed === entries ? 'signed' : signed === 0 ? 'unsigned' : 'partly signed';
  return (
    <p className="summary">
      <span className={`badge ${tone}`}>{words}</span>
      <span className="faint">
        {signed.toLocaleString('en')} of {entries.toLocaleString('en')} events in{' '}
        {streams.length.toLocaleString('en')} {streams.length === 1 ? 'stream' : 'streams'} bear the signature
        of their host. Whose keys count: <code>npx tripline keys list</code>
      </span>
    </p>
  );
}

interface SessionAlertsProps {
  readonly alerts: readonly Alert[];
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
}

function SessionAlerts({ alerts, chosen, onChoose }: SessionAlertsProps): ReactNode {
  return (
    <div className="session-alerts">
      <h2>Alerts of this session</h2>
      {alerts.map((alert) => (
        <div key={alert.id} className={`session-alert ${alert.id === chosen ? 'chosen' : ''}`}>
          <button type="button" aria-pressed={alert.id === chosen} onClick={() => onChoose(alert.id)}>
            <LevelBadge value={alert.level} />
            <Untrusted value={alert.title === '' ? alert.ruleId : alert.title} maxLength={120} folded />
          </button>
          {alert.id === chosen ? <Chain calls={alert.calls} alertId={alert.id} /> : null}
        </div>
      ))}
    </div>
  );
}
