/**
 * A host for the time of an examination: a stream of its own with a session that nothing else has, recorded through the
 * same spool, guard and channel as every host's. A drill is a real control on that session, so no other call is stopped.
 */
import type { CallDecision, ControlledCall } from '../../../schemas/control/decide.ts';
import { Capture } from '../capture.ts';
import type { CaptureLog } from '../log.ts';
import type { CaptureSettings } from '../settings.ts';

export const DRILL_SERVER = 'tripline-doctor';
const DRILL_TOOL = 'drill';
const POLL_MS = 5;

export interface Refusal {
  readonly controlId: string;
  readonly reason: string;
}

export class DrillHost {
  readonly session: string;
  readonly #capture: Capture;
  readonly #agent: string;
  /** Codes that capture logged: why something did not come about. */
  readonly troubles: string[] = [];

  constructor(settings: CaptureSettings, session: string) {
    this.session = session;
    this.#agent = settings.agent;
    const log: CaptureLog = (_level, event, fields = {}) =>
      void this.troubles.push([event, ...Object.values(fields)].join(' '));
    this.#capture = new Capture({
      // Held calls would wait for a verdict: a drill is about controls.
      settings: { ...settings, sessionId: session, hold: undefined, onChannelLost: 'open' },
      server: DRILL_SERVER,
      transport: 'other',
      hostPid: process.pid,
      log,
    });
  }

  start(): Promise<void> {
    return this.#capture.start();
  }

  /** Milliseconds until the service had taken (202: durable there) what is written so far; undefined after `withinMs`. */
  async taken(withinMs: number): Promise<number | undefined> {
    const { written } = this.#capture.counts;
    return await until(() => this.#capture.counts.sent >= written, withinMs);
  }

  /**
   * Milliseconds until this host holds the control, verified against the pinned key; undefined after `withinMs`, and as
   * soon as a control was rejected.
   */
  async armed(controlId: string, withinMs: number): Promise<number | undefined> {
    const isHeld = (): boolean => refusalOf(this.#decision())?.controlId === controlId;
    const isRejected = (): boolean => this.troubles.some((trouble) => trouble.startsWith('control_rejected'));
    const ms = await until(() => isHeld() || isRejected(), withinMs);
    return isHeld() ? ms : undefined;
  }

  /** The first control on this session that comes, whoever sets it. */
  async anyControl(withinMs: number): Promise<Refusal | undefined> {
    await until(() => refusalOf(this.#decision()) !== undefined, withinMs);
    return refusalOf(this.#decision());
  }

  #decision(): CallDecision {
    const call: ControlledCall = {
      agent: this.#agent,
      session: this.session,
      server: DRILL_SERVER,
      tool: DRILL_TOOL,
      class: 'other',
    };
    return this.#capture.decisionOn(call);
  }

  /** Makes one call of no server: true when it was refused under the control, as the host's client would be told. */
  async isRefused(controlId: string): Promise<boolean> {
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: DRILL_TOOL, arguments: {} } };
    const passed = await this.#capture.pass('to_server', new TextEncoder().encode(JSON.stringify(call)));
    const error = passed.answers.map((answer) => (JSON.parse(answer) as { error?: DrillError }).error).at(0);
    return passed.forward === undefined && error?.data?.controlId === controlId;
  }

  async close(): Promise<void> {
    await this.#capture.close();
  }
}

interface DrillError {
  readonly data?: { readonly controlId?: string };
}

function refusalOf(decision: CallDecision): Refusal | undefined {
  return decision.kind === 'refuse'
    ? { controlId: decision.control.id, reason: decision.control.reason }
    : undefined;
}

async function until(isSo: () => boolean, withinMs: number): Promise<number | undefined> {
  const fromMs = performance.now();
  while (!isSo()) {
    if (performance.now() - fromMs > withinMs) return undefined;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return performance.now() - fromMs;
}
