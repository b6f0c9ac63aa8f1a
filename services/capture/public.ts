/** Types that a host's own code meets. They name no other file, so that the package carries no more than these. */

/** What the transports of both SDK generations have in common. `never` parameters accept every message type. */
export interface TransportLike {
  start(): Promise<void>;
  send(message: never, options?: never): Promise<void>;
  close(): Promise<void>;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: ((message: never, extra?: never) => void) | undefined;
}

export interface Decision {
  /** Hashed here (SHA-256 of its UTF-8) and never recorded. */
  readonly prompt?: string;
  /** Instead of `prompt`: its SHA-256, 64 lower-case hex digits. */
  readonly promptHash?: string;
  /** Why the model chose what it chose; recorded up to 8192 characters, hashed whole. */
  readonly rationale?: string;
  readonly model?: string;
  /** Where the host knows the recorded call already; else the next tool call of the connection names this decision. */
  readonly callId?: string;
}

/** What a host can add to the record of its connection: prompt → rationale → call. */
export interface RecordsDecisions {
  /**
   * Says why the model is about to call a tool. The next tools/call that is sent carries the id that is answered; say it
   * just before, and from one place where calls run side by side. The prompt itself is never recorded.
   */
  recordDecision(decision: Decision): string;
}
