import { useMemo, useState, type ReactNode } from 'react';
import { createApi, type Api } from './api/client.ts';
import { forgetToken, keepToken, takeToken } from './parts/token.ts';
import { useRoute, type Route, type View } from './parts/route.ts';
import { useTail, type Tail } from './parts/use-tail.ts';
import { Shell } from './shell.tsx';
import { AlertsView } from './views/alerts.tsx';
import { ApprovalsView } from './views/approvals.tsx';
import { ControlsView } from './views/controls.tsx';
import { LedgerView } from './views/ledger.tsx';
import { LiveView } from './views/live.tsx';
import { SessionView } from './views/session.tsx';
import { SessionsView } from './views/sessions.tsx';
import { SignIn } from './views/sign-in.tsx';

export function App(): ReactNode {
  const [token, setToken] = useState(takeToken);
  if (token === '')
    return (
      <SignIn
        onToken={(given) => {
          keepToken(given);
          setToken(given);
        }}
      />
    );
  return (
    <Console
      token={token}
      onSignOut={() => {
        forgetToken();
        setToken('');
      }}
    />
  );
}

function Console({
  token,
  onSignOut,
}: {
  readonly token: string;
  readonly onSignOut: () => void;
}): ReactNode {
  const api = useMemo(() => createApi(token), [token]);
  const tail = useTail(token);
  const route = useRoute();
  return (
    <Shell view={route.view} tail={tail} onSignOut={onSignOut}>
      <CurrentView route={route} api={api} tail={tail} />
    </Shell>
  );
}

interface PageProps {
  readonly route: Route;
  readonly api: Api;
  readonly tail: Tail;
}

const PAGES: Readonly<Record<View, (props: PageProps) => ReactNode>> = {
  live: ({ tail }) => <LiveView tail={tail} />,
  alerts: ({ api, tail }) => <AlertsView api={api} news={tail.news} />,
  sessions: ({ api, route }) =>
    route.session === '' ? (
      <SessionsView api={api} />
    ) : (
      <SessionView key={route.session} api={api} route={route} />
    ),
  ledger: ({ api }) => <LedgerView api={api} />,
  controls: ({ api, tail }) => <ControlsView api={api} news={tail.news} />,
  approvals: ({ api, tail }) => <ApprovalsView api={api} news={tail.asks} />,
};

function CurrentView(props: PageProps): ReactNode {
  return PAGES[props.route.view](props);
}
