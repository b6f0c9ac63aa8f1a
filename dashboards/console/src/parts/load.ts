/**
 * Loading with repetition: first load, refresh every so often, again on demand; late answers are thrown away. Every read
 * is an audit event of the service, so intervals are long, and what is new comes by the live tail.
 */
import { useCallback, useEffect, useState } from 'react';
import type { ApiError } from '../api/client.ts';
import { asApiError } from './states.tsx';

export interface Loaded<Value> {
  readonly value: Value | null;
  /** The last attempt's fault; `value` may still hold what was loaded before. */
  readonly error: ApiError | null;
  readonly reload: () => void;
}

/** Runs `load` now, when it changes and every `refreshIntervalMs` while the page is in view, and when `news` grows. */
export function useLoad<Value>(
  load: (signal: AbortSignal) => Promise<Value>,
  refreshIntervalMs: number,
  news = 0,
): Loaded<Value> {
  const [value, setValue] = useState<Value | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => setValue(null), [load]);
  useEffect(() => {
    const abort = new AbortController();
    const attempt = async (): Promise<void> => {
      try {
        const loaded = await load(abort.signal);
        if (abort.signal.aborted) return;
        setValue(loaded);
        setError(null);
      } catch (failure) {
        if (!abort.signal.aborted) setError(asApiError(failure));
      }
    };
    void attempt();
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') setRound((last) => last + 1);
    }, refreshIntervalMs);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [load, round, news, refreshIntervalMs]);
  const reload = useCallback(() => setRound((last) => last + 1), []);
  return { value, error, reload };
}

/** The present, in Unix ms, renewed every `intervalMs`. */
export function useNow(intervalMs: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), intervalMs);
    return () => clearInterval(timer);
  }, [intervalMs]);
  return now;
}
