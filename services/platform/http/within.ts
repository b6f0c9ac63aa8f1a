/** A bound on what others take to answer. */

/**
 * What `act` resolves to, or a rejection with a TimeoutError after `timeoutMs`, or with the reason of `signal`. `act` is
 * given a signal that then ends its request. Not `AbortSignal.any` or `AbortSignal.timeout` over a Request of one's own:
 * on Node 20 the collector takes a combined signal that nothing but `fetch` knows, and the request hangs for ever.
 */
export async function within<Result>(
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  act: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const ended = new Promise<never>((_resolve, reject) => {
    // Beside the request's own ear, so that a request that does not listen cannot hold the caller.
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error), {
      once: true,
    });
  });
  ended.catch(() => undefined);
  const stop = (): void => controller.abort(signal?.reason);
  // A timer that keeps the process alive: a command may wait for nothing else.
  const timer = setTimeout(
    () => controller.abort(new DOMException('the time-out was reached', 'TimeoutError')),
    timeoutMs,
  );
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted === true) stop();
  try {
    return await Promise.race([act(controller.signal), ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}
