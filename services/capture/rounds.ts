/**
 * Rounds of one logical call (MCP 2026-07-28, SEP-2322): a result `input_required` carries an opaque requestState; the
 * client repeats tools/call under a new id with inputResponses and that state. Where a server sends no state, the same
 * tool with inputResponses joins the last open round of that tool. Bounded: the oldest open round is forgotten first.
 */
const MAX_OPEN_ROUNDS = 1024;

export class CallRounds {
  readonly #open = new Map<string, string>();

  static key(tool: string, stateHash: string | undefined): string {
    return stateHash === undefined ? `tool ${tool}` : `state ${stateHash}`;
  }

  open(key: string, logicalCallId: string): void {
    this.#open.delete(key);
    this.#open.set(key, logicalCallId);
    if (this.#open.size <= MAX_OPEN_ROUNDS) return;
    for (const oldest of this.#open.keys()) {
      this.#open.delete(oldest);
      return;
    }
  }

  /** The logical call that this round goes on with. */
  join(key: string): string | undefined {
    const logicalCallId = this.#open.get(key);
    if (logicalCallId !== undefined) this.#open.delete(key);
    return logicalCallId;
  }
}
