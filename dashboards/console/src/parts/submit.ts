/** One change that a person asks for in a dialog: sent once at a time; its fault is shown where they asked. */
import { useState } from 'react';
import type { ApiError } from '../api/client.ts';
import { asApiError } from './states.tsx';

export interface Submission {
  readonly error: ApiError | null;
  readonly isBusy: boolean;
  readonly submit: () => void;
}

/** `onDone` runs once `act` has succeeded; `onFault`, where there is one, after it has not. */
export function useSubmit(
  act: () => Promise<void>,
  { onDone, onFault }: { readonly onDone: () => void; readonly onFault?: () => void },
): Submission {
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const run = async (): Promise<void> => {
    setBusy(true);
    try {
      await act();
    } catch (failure) {
      setError(asApiError(failure));
      setBusy(false);
      onFault?.();
      return;
    }
    onDone();
  };
  return { error, isBusy, submit: () => void run() };
}
