/**
 * The package: one line puts an MCP transport on record. Settings come from the environment of this process
 * (`TRIPLINE_*`) and the data directory; what a host names here goes before them. Nothing global is changed: no module
 * is patched, no handler of the process is set, and nothing is written to stdout.
 */
import { recordTransport as recordWith } from './decorator.ts';
import type { CaptureLog } from './log.ts';
import type { Decision, RecordsDecisions, TransportLike } from './public.ts';
import { readSettings } from './settings.ts';

export type { CaptureLog, Decision, RecordsDecisions, TransportLike };

export interface RecordOptions {
  /** The operator's name of the server, in events, rules and controls. */
  readonly server: string;
  /** Which end of the connection this process is; default `client`. */
  readonly side?: 'client' | 'server';
  /** What the connection runs over; default `other`. */
  readonly transport?: 'stdio' | 'streamable_http' | 'other';
  /** Name of the agent; else TRIPLINE_AGENT. */
  readonly agent?: string;
  /** On whose behalf the agent acts; else TRIPLINE_PRINCIPAL. */
  readonly principal?: string;
  /** This run of the agent, where the host has a name for it; else TRIPLINE_SESSION_ID, else derived from this process. */
  readonly session?: string;
  /** Variables `TRIPLINE_*` instead of those of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Takes what capture has to say of itself; default: nobody is told. */
  readonly log?: CaptureLog;
}

/**
 * A transport that does what `inner` does and puts every tool call on record before it leaves; a call that a kill
 * switch forbids never reaches the server and is answered -32090. Throws `config_invalid` for variables that mean nothing.
 */
export function recordTransport<T extends TransportLike>(
  inner: T,
  { agent, principal, session, env = process.env, ...options }: RecordOptions,
): T & RecordsDecisions {
  const named = { TRIPLINE_AGENT: agent, TRIPLINE_PRINCIPAL: principal, TRIPLINE_SESSION_ID: session };
  const given = Object.entries(named).filter(([, value]) => value !== undefined);
  return recordWith(inner, {
    ...options,
    settings: readSettings({ ...env, ...Object.fromEntries(given) }),
  });
}
