/** Calls of this process that wait for a verdict, by the place of their intent. */
import { zVerdict } from '../../../schemas/verdict/v1.ts';
import type { Ruling } from '../holds.ts';

const TIMEOUT: Ruling = { kind: 'timeout' };

export class VerdictDesk {
  readonly #waiting = new Map<string, (ruling: Ruling) => void>();

  /** Resolves with the verdict on this intent, or with `timeout` after `budgetMs`. */
  wait(stream: string, seq: number, budgetMs: number): Promise<Ruling> {
    return new Promise((resolve) => {
      const key = `${stream}-${seq}`;
      const timer = setTimeout(() => settle(TIMEOUT), budgetMs);
      const settle = (ruling: Ruling): void => {
        clearTimeout(timer);
        this.#waiting.delete(key);
        resolve(ruling);
      };
      this.#waiting.set(key, settle);
    });
  }

  /** A message of the service; one that nobody waits for is too late, and of no use. */
  take(message: unknown): void {
    const parsed = zVerdict.safeParse(message);
    if (!parsed.success) return;
    const { stream, seq, verdict, ruleId } = parsed.data;
    this.#waiting.get(`${stream}-${seq}`)?.({ kind: 'verdict', verdict, ruleId });
  }

  /** No verdict can come any more: nobody waits in vain. */
  giveUp(): void {
    for (const settle of this.#waiting.values()) settle(TIMEOUT);
  }
}
