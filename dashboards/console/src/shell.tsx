/** Frame of all views: navigation, state of the live connection, theme, keyboard shortcuts. */
import { useEffect, useState, type ReactNode } from 'react';
import { Dialog } from './parts/dialog.tsx';
import { VIEWS, type View } from './parts/route.ts';
import { useShortcutSetting, useTheme } from './parts/settings.ts';
import type { TailState } from './api/tail.ts';
import type { Tail } from './parts/use-tail.ts';

const TITLES: Readonly<Record<View, string>> = {
  live: 'Live',
  alerts: 'Alerts',
  sessions: 'Sessions',
  ledger: 'Ledger',
  controls: 'Kill switch',
  approvals: 'Approvals',
};

const CONNECTION: Readonly<Record<TailState, string>> = {
  connecting: 'connecting…',
  open: 'live',
  waiting: 'connection lost, trying again',
  denied: 'no live connection: token refused or service down',
};

interface ShellProps {
  readonly view: View;
  readonly tail: Tail;
  readonly onSignOut: () => void;
  readonly children: ReactNode;
}

export function Shell({ view, tail, onSignOut, children }: ShellProps): ReactNode {
  const [theme, nextTheme] = useTheme();
  const [hasShortcuts, setShortcuts] = useShortcutSetting();
  const [isHelpOpen, setHelpOpen] = useState(false);
  useShortcuts(hasShortcuts, { help: () => setHelpOpen(true), theme: nextTheme, pause: tail.togglePause });
  useEffect(() => {
    document.title = `${TITLES[view]} · Tripline`;
  }, [view]);
  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={focusMain}>
        Skip to content
      </a>
      <header className="side">
        <a className="brand" href="#/live">
          <img src="/tripline.svg" alt="" width="26" height="26" />
          <span>Tripline</span>
        </a>
        <nav aria-label="Views">
          {VIEWS.map((name, index) => (
            <a key={name} href={`#/${name}`} aria-current={name === view ? 'page' : undefined}>
              <span>{TITLES[name]}</span>
              <kbd aria-hidden="true">{index + 1}</kbd>
            </a>
          ))}
        </nav>
        <div className="side-foot">
          <p className={`connection ${tail.state}`} role="status">
            <span className="dot" aria-hidden="true" />
            {CONNECTION[tail.state]}
          </p>
          <div className="side-buttons">
            <button type="button" className="quiet" onClick={nextTheme}>
              Theme: {theme}
            </button>
            <button type="button" className="quiet" onClick={() => setHelpOpen(true)}>
              Shortcuts
            </button>
            <button type="button" className="quiet" onClick={onSignOut}>
              Sign out
            </button>
          </div>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      {isHelpOpen ? (
        <Help isEnabled={hasShortcuts} onEnable={setShortcuts} onClose={() => setHelpOpen(false)} />
      ) : null}
    </div>
  );
}

/** The fragment names the view, so the skip link moves the focus itself. */
function focusMain(event: { preventDefault(): void }): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('#main')?.focus();
}

interface Actions {
  readonly help: () => void;
  readonly theme: () => void;
  readonly pause: () => void;
}

function useShortcuts(isEnabled: boolean, actions: Actions): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (!isEnabled || isTyping(event)) return;
      if (act(event.key, actions)) event.preventDefault();
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  });
}

function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  if (document.querySelector('dialog[open]') !== null) return true;
  return event.target instanceof HTMLElement && event.target.matches('input, textarea, select');
}

function act(key: string, actions: Actions): boolean {
  const view = VIEWS[Number(key) - 1];
  if (/^[1-9]$/.test(key) && view !== undefined) {
    window.location.hash = `#/${view}`;
    return true;
  }
  switch (key) {
    case '?':
      actions.help();
      return true;
    case 't':
      actions.theme();
      return true;
    case 'p':
      actions.pause();
      return true;
    case '/':
      document.querySelector<HTMLElement>('[data-shortcut="filter"]')?.focus();
      return true;
    default:
      return false;
  }
}

const SHORTCUTS: readonly (readonly [keys: string, does: string])[] = [
  ['1 – 6', 'Live, Alerts, Sessions, Ledger, Kill switch, Approvals'],
  ['↑ ↓ Home End', 'walk the rows of a table'],
  ['Enter', 'open the row'],
  ['/', 'go to the filter'],
  ['p', 'pause or continue the live tail'],
  ['t', 'next colour theme'],
  ['Esc', 'close a dialog'],
  ['?', 'this list'],
];

interface HelpProps {
  readonly isEnabled: boolean;
  readonly onEnable: (enabled: boolean) => void;
  readonly onClose: () => void;
}

function Help({ isEnabled, onEnable, onClose }: HelpProps): ReactNode {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl className="keys">
        {SHORTCUTS.map(([keys, does]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <label className="check">
        <input type="checkbox" checked={isEnabled} onChange={(event) => onEnable(event.target.checked)} />
        Single keys are shortcuts
      </label>
    </Dialog>
  );
}
