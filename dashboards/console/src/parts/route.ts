/** The view in the address: #/live, #/alerts, #/sessions, #/sessions/ID?call=…, #/ledger, #/controls, #/approvals. */
import { useSyncExternalStore } from 'react';

export const VIEWS = ['live', 'alerts', 'sessions', 'ledger', 'controls', 'approvals'] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  readonly view: View;
  /** Session of the timeline, '' for the list. */
  readonly session: string;
  /** Alert whose steps are highlighted, '' for none. */
  readonly alert: string;
  /** Id of the event to bring into view, '' for none. */
  readonly call: string;
}

/** Never throws: the address is typed by anybody. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [first = '', second = ''] = path.split('/');
  const view = VIEWS.find((name) => name === first) ?? 'live';
  const parameters = new URLSearchParams(query);
  return {
    view,
    session: view === 'sessions' ? decode(second) : '',
    alert: parameters.get('alert') ?? '',
    call: parameters.get('call') ?? '',
  };
}

export function sessionLink(
  session: string,
  marks: { readonly alert?: string; readonly call?: string } = {},
): string {
  const query = new URLSearchParams(Object.entries(marks).filter(([, value]) => value !== '')).toString();
  return `#/sessions/${encodeURIComponent(session)}${query === '' ? '' : `?${query}`}`;
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** The address as a store: one that changes between the first render and the subscription is not missed. */
export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(followHash, () => window.location.hash));
}

function followHash(onChange: () => void): () => void {
  window.addEventListener('hashchange', onChange);
  return () => window.removeEventListener('hashchange', onChange);
}
