/**
 * Notifications on record: list changes, updated resources, log messages. Either peer can send as many as it likes, so
 * each method has a budget; what is over it is counted and told with the next one, or at the end.
 */
import { describeMessage, taskAt } from './describe.ts';
import { recordableName, type EventDraft } from './draft.ts';
import { senderOf } from './exchange.ts';
import { bodyOf, given, type Connection } from './exchange-drafts.ts';
import type { Direction, WireMessage } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';
import type { Tasks } from './tasks.ts';

const BURST = 20;
/** One more for each of these. */
const REFILL_MS = 1_000;
/** Methods with a budget of their own; names are attacker-controlled, so all others share one. */
const MAX_BUDGETS = 64;
const OTHERS = '(other notifications)';

interface Budget {
  left: number;
  refilledAtMs: number;
  skipped: number;
}

interface TaskNews {
  readonly skipped: number;
  readonly mcp: Readonly<Record<string, unknown>>;
  readonly fields: Readonly<Record<string, unknown>>;
}
const NO_TASK: TaskNews = { skipped: 0, mcp: {}, fields: {} };

type NotificationOptions = Connection & Pick<ObserverOptions, 'sha256Hex'>;

export class Notifications {
  readonly #options: NotificationOptions;
  readonly #tasks: Tasks;
  readonly #budgets = new Map<string, Budget>();

  constructor(options: NotificationOptions, tasks: Tasks) {
    this.#options = options;
    this.#tasks = tasks;
  }

  /** The draft; undefined for one that is counted only. */
  sent(direction: Direction, message: WireMessage): EventDraft | undefined {
    const method = recordableName(message.method ?? '');
    const told = this.#task(method, message);
    if (told === 'nothing_new') return undefined;
    const skipped = this.#spend(method);
    if (skipped === undefined) return undefined;
    const args = bodyOf('args', message.bytes, message.paramsSpan, this.#options.sha256Hex);
    const mcp = {
      sender: senderOf(direction),
      ...describeMessage(method, message.bytes, message.params),
      ...told.mcp,
      ...counted(skipped + told.skipped),
    };
    const hash =
      args === undefined ? {} : { argsHash: args.hash, argsBytes: args.span.end - args.span.start };
    const draft = this.#draft(method, mcp, { ...told.fields, ...hash });
    return args === undefined ? draft : { ...draft, body: args };
  }

  /** What it says of a task, and of the call that the task came from. */
  #task(method: string, message: WireMessage): TaskNews | 'nothing_new' {
    const task = method.startsWith('notifications/tasks') ? taskAt(message.bytes, message.params) : undefined;
    if (task === undefined) return NO_TASK;
    const news = this.#tasks.seen(task);
    if (news === undefined) return 'nothing_new';
    const origin = this.#tasks.origin(task.taskId);
    return {
      skipped: news.skipped,
      mcp: given({ taskId: task.taskId, taskStatus: task.status }),
      fields:
        origin === undefined
          ? {}
          : given({ logicalCallId: origin.logicalCallId, tool: origin.tool, class: origin.class }),
    };
  }

  #draft(
    method: string,
    mcp: Readonly<Record<string, unknown>>,
    more: Readonly<Record<string, unknown>>,
  ): EventDraft {
    const { server, transport, clock } = this.#options;
    return {
      kind: 'mcp.notification',
      timeMs: clock.nowMs(),
      fields: { method, server, transport, ...more, mcp },
    };
  }

  /** How many were skipped before this one; undefined when it is skipped too. */
  #spend(method: string): number | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const budget = this.#budgetOf(method, nowMs);
    const refill = Math.floor((nowMs - budget.refilledAtMs) / REFILL_MS);
    if (refill > 0) {
      budget.left = Math.min(BURST, budget.left + refill);
      budget.refilledAtMs += refill * REFILL_MS;
    }
    if (budget.left === 0) {
      budget.skipped++;
      return undefined;
    }
    budget.left--;
    const { skipped } = budget;
    budget.skipped = 0;
    return skipped;
  }

  #budgetOf(method: string, nowMs: number): Budget {
    const name = this.#budgets.has(method) || this.#budgets.size < MAX_BUDGETS ? method : OTHERS;
    const known = this.#budgets.get(name);
    if (known !== undefined) return known;
    const made = { left: BURST, refilledAtMs: nowMs, skipped: 0 };
    this.#budgets.set(name, made);
    return made;
  }

  /** What was only counted so far. */
  close(): readonly EventDraft[] {
    const drafts = [...this.#budgets]
      .filter(([, { skipped }]) => skipped > 0)
      .map(([method, { skipped }]) => this.#draft(method, counted(skipped), {}));
    this.#budgets.clear();
    return drafts;
  }
}

function counted(skipped: number): Record<string, unknown> {
  return skipped === 0 ? {} : { skipped };
}
