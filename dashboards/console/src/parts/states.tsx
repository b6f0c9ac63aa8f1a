/** What a view shows when it has no rows to show: waiting, nothing there, or a fault with what to do about it. */
import type { ReactNode } from 'react';
import { ApiError } from '../api/client.ts';
import { Untrusted } from './untrusted.tsx';

export function Loading({ what }: { readonly what: string }): ReactNode {
  return (
    <div className="state" role="status">
      <span className="spinner" aria-hidden="true" />
      <p>Loading {what}…</p>
    </div>
  );
}

export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ReactNode;
}): ReactNode {
  return (
    <div className="state empty">
      <h2>{title}</h2>
      <div>{children}</div>
    </div>
  );
}

const ADVICE: ReadonlyMap<string, string> = new Map([
  ['unreachable', 'Is `tripline up` running? This page tries again by itself.'],
  ['auth_invalid', 'Sign out and in again with a token that the service knows.'],
  [
    'auth_forbidden',
    'Your token has no right to this. Ask for one with a role that has: analyst, responder, auditor or admin.',
  ],
  ['conflict', 'It is over, or somebody else was faster: what is there now is read again.'],
  ['rate_limited', 'Too many requests were sent. Wait a minute.'],
  ['not_found', 'It is not on record for your tenant, or its first record is still on its way to the store.'],
  ['overloaded', 'The service is behind. See lag in /metrics; this page tries again by itself.'],
  ['not_ready', 'The service is starting. This page tries again by itself; /readyz says what is missing.'],
  ['store_unavailable', 'The store does not answer. Recording goes on to the bus; check ClickHouse.'],
]);

/** What a person does about the fault. */
export function adviceFor(error: ApiError): string {
  return ADVICE.get(error.code) ?? 'Look at the service log; `npx tripline doctor` checks the installation.';
}

interface FaultProps {
  readonly what: string;
  readonly error: ApiError;
  readonly onRetry: () => void;
}

export function Fault({ what, error, onRetry }: FaultProps): ReactNode {
  return (
    <div className="state fault" role="alert">
      <h2>Could not load {what}</h2>
      <p>
        <Untrusted value={error.message} maxLength={400} /> <code>{error.code}</code>
      </p>
      <p>{adviceFor(error)}</p>
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}

/** What went wrong with a change, below its fields. */
export function FormFault({ error }: { readonly error: ApiError | null }): ReactNode {
  if (error === null) return null;
  return (
    <p className="note wrong" role="alert">
      <Untrusted value={error.message} maxLength={300} /> {adviceFor(error)}
    </p>
  );
}

/** Any thrown thing as an ApiError; once, here. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError({ code: 'internal', status: 0, message: 'The console met a fault.' });
}
