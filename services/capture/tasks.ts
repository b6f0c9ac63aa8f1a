/**
 * Tasks that a connection spoke of (2025-11-25 core, then the extension io.modelcontextprotocol/tasks): which call one
 * came from, and the status that was seen last. A cancellation is a wish: a task is `cancelled` when its server says so.
 * Bounded: the oldest is forgotten first.
 */
import type { Exchange } from './exchange.ts';
import type { TaskState } from './describe.ts';

/** Where a task came from. */
export interface TaskOrigin {
  readonly callId: string;
  readonly logicalCallId: string;
  readonly tool: string | undefined;
  readonly class: string | undefined;
}

interface Task {
  readonly origin: TaskOrigin | undefined;
  status: string | undefined;
  /** Messages that told nothing new since the last one on record. */
  skipped: number;
}

const MAX_TASKS = 1024;

export class Tasks {
  readonly #tasks = new Map<string, Task>();

  /** The answer to `exchange` made a task. */
  created({ taskId, status }: TaskState, { callId, logicalCallId, about }: Exchange): void {
    const origin = { callId, logicalCallId, tool: about.tool, class: about.class };
    this.#tasks.delete(taskId);
    this.#add(taskId, { origin, status, skipped: 0 });
  }

  origin(taskId: string): TaskOrigin | undefined {
    return this.#tasks.get(taskId)?.origin;
  }

  /** Takes what was said of a task. What is to be recorded: how many said nothing new before; undefined = nothing new. */
  seen({ taskId, status }: TaskState): { readonly skipped: number } | undefined {
    const task = this.#tasks.get(taskId);
    if (task === undefined) {
      this.#add(taskId, { origin: undefined, status, skipped: 0 });
      return { skipped: 0 };
    }
    if (task.status === status) {
      task.skipped++;
      return undefined;
    }
    const { skipped } = task;
    task.status = status;
    task.skipped = 0;
    return { skipped };
  }

  #add(taskId: string, task: Task): void {
    this.#tasks.set(taskId, task);
    if (this.#tasks.size <= MAX_TASKS) return;
    for (const oldest of this.#tasks.keys()) {
      this.#tasks.delete(oldest);
      return;
    }
  }
}
