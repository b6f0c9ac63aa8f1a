/** Kill switch: what is stopped now, stop something, let it go again. */
import { useCallback, useState, type ReactNode } from 'react';
import type { Api } from '../api/client.ts';
import type { Control } from '../api/types.ts';
import { useLoad, useNow } from '../parts/load.ts';
import { Empty, Fault, Loading } from '../parts/states.tsx';
import { span, unixMs } from '../parts/time.ts';
import { Untrusted } from '../parts/untrusted.tsx';
import { visible } from '../parts/visible.ts';
import { ControlForm } from './control-form.tsx';
import { LiftDialog } from './control-lift.tsx';

const REFRESH_INTERVAL_MS = 15_000;

/** A tenant's or global control has no target of its own. */
export function targetOf(control: Pick<Control, 'scope' | 'target'>): string {
  return control.target === '*' ? 'everything' : control.target;
}

export function ControlsView({ api, news }: { readonly api: Api; readonly news: number }): ReactNode {
  const load = useCallback((signal: AbortSignal) => api.controls(signal), [api]);
  const { value, error, reload } = useLoad(load, REFRESH_INTERVAL_MS, news);
  const [lifting, setLifting] = useState<Control | null>(null);
  const [notice, setNotice] = useState('');
  const now = useNow(1_000);
  const active = (value?.items ?? []).filter(
    (item) => item.state === 'set' && !(unixMs(item.expiresAt) <= now),
  );
  const done = (text: string): void => {
    setNotice(text);
    reload();
  };
  return (
    <section aria-labelledby="view-title">
      <header className="view-head">
        <h1 id="view-title">Kill switch</h1>
        <p className="faint">
          Signed orders that hosts check before a call leaves. They expire by themselves; every change is on
          record.
        </p>
      </header>
      <p className="note ok" role="status" hidden={notice === ''}>
        {notice}
      </p>
      {error === null ? null : <Fault what="the controls" error={error} onRetry={reload} />}
      <div className="columns">
        <div>
          <h2>In force now</h2>
          {value === null && error === null ? <Loading what="the controls" /> : null}
          {value !== null && active.length === 0 ? (
            <Empty title="Nothing is stopped">
              <p>
                All tool calls pass. Set a control to refuse calls by tool, class, server, agent or session.
              </p>
            </Empty>
          ) : null}
          <ul className="controls" aria-label="Controls in force">
            {active.map((control) => (
              <ControlCard key={control.id} control={control} now={now} onLift={() => setLifting(control)} />
            ))}
          </ul>
        </div>
        <ControlForm api={api} onDone={done} />
      </div>
      {lifting === null ? null : (
        <LiftDialog api={api} control={lifting} onClose={() => setLifting(null)} onDone={done} />
      )}
    </section>
  );
}

interface ControlCardProps {
  readonly control: Control;
  readonly now: number;
  readonly onLift: () => void;
}

function ControlCard({ control, now, onLift }: ControlCardProps): ReactNode {
  const left = unixMs(control.expiresAt) - now;
  return (
    <li className={`control-card ${control.mode === 'shadow' ? 'shadow' : 'enforce'}`}>
      <div className="control-what">
        <span className="control-mode">{control.mode === 'shadow' ? 'shadow' : 'refusing'}</span>
        <span className="faint">
          <Untrusted value={control.scope} />
        </span>
        <strong className="tool">
          <Untrusted value={targetOf(control)} maxLength={60} />
        </strong>
      </div>
      <p>
        <Untrusted value={control.reason} maxLength={200} empty="no reason given" />
      </p>
      <p className="faint">
        set by <Untrusted value={control.issuedBy} maxLength={40} />, version {control.version}, id{' '}
        <code>
          <Untrusted value={control.id} maxLength={24} />
        </code>
      </p>
      <div className="control-foot">
        <span className="countdown" role="timer" aria-label="Time left">
          {Number.isFinite(left) ? `${span(left)} left` : 'expiry unknown'}
        </span>
        <button
          type="button"
          onClick={onLift}
          aria-label={`Lift: ${visible(control.scope)} ${visible(targetOf(control)).slice(0, 60)}`}
        >
          Lift…
        </button>
      </div>
    </li>
  );
}
