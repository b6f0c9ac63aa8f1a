/** What an examination of a host finds: one fact each, and what to do where it is not as it should be. */
export interface Finding {
  readonly check:
    | 'settings'
    | 'servers'
    | 'spool'
    | 'control key'
    | 'service'
    | 'clock'
    | 'record'
    | 'channel'
    | 'drill'
    | 'hosts'
    | 'store';
  /** `skipped`: could not be looked at, mostly for lack of a privilege; `do` says which. */
  readonly status: 'ok' | 'warn' | 'fail' | 'skipped';
  readonly detail: string;
  readonly do?: string;
  readonly ms?: number;
  /** Why it failed, where that decides the exit code of the command. */
  readonly cause?: 'unreachable' | 'denied';
}
