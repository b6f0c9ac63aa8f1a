/**
 * capture doctor: is this host recorded, and is its kill switch armed? Everything that a host does is done once, with the
 * host's own privileges (role producer). Setting the drill's control and reading it back need more, and say so.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import { channelFinding } from '../../capture/doctor/channel.ts';
import { DrillHost } from '../../capture/doctor/drill.ts';
import type { Finding } from '../../capture/doctor/finding.ts';
import { keyFinding, spoolFinding } from '../../capture/doctor/local.ts';
import { serversFinding } from '../../capture/doctor/servers.ts';
import { readSettings, type CaptureSettings } from '../../capture/settings.ts';
import { ApiClient } from '../client.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, visible } from '../output.ts';

export interface CaptureDoctorOptions {
  /** File with the token of an operator; default admin.token of the data directory. */
  readonly tokenFile: string | undefined;
  readonly tenant: string | undefined;
  /** How long to wait for a drill that somebody else sets; undefined = not at all. */
  readonly waitMs: number | undefined;
  /** Files in which hosts keep their servers. */
  readonly hostFiles: readonly string[];
}

const WITHIN_MS = 5_000;
const STORED_WITHIN_MS = 15_000;
const DRILL_TTL_MS = 60_000;
const POLL_MS = 100;
/** Event times later than the append by more than this are cut (effective time). */
const MAX_SKEW_MS = 5_000;

type Item = Readonly<Record<string, unknown>>;

interface Examination {
  readonly context: CommandContext;
  readonly options: CaptureDoctorOptions;
  readonly settings: CaptureSettings;
  /** With the producer's token, as capture has it. */
  readonly producer: ApiClient;
  /** With more rights, where there is a token. */
  readonly operator: ApiClient | undefined;
  readonly report: (finding: Finding) => void;
}

/** One finding a line, then the summary. Exit 0 nothing failed, 1 something did, 2 settings, 3 service away, 4 denied. */
export async function captureDoctor(context: CommandContext, options: CaptureDoctorOptions): Promise<number> {
  const settings = readSettings(context.io.env);
  const findings: Finding[] = [];
  const report = (finding: Finding): void => {
    findings.push(finding);
    context.output.item(finding, () => lineOf(finding));
  };
  const { url, token } = settings.address();
  const operatorToken = operatorTokenOf(settings, options);
  const client = (of: string | undefined): ApiClient => new ApiClient({ url, token: of }, context.io.signal);
  const operator = operatorToken === undefined ? undefined : client(operatorToken);
  await examine({ context, options, settings, producer: client(token), operator, report });
  const summary = summaryOf(findings);
  context.output.item(
    summary,
    () => `\nrecorded: ${word(summary.recorded)}   kill switch armed: ${word(summary.armed)}`,
  );
  return exitCodeOf(findings);
}

async function examine(at: Examination): Promise<void> {
  const { settings, report } = at;
  report({
    check: 'settings',
    status: 'ok',
    detail: `agent ${visible(settings.agent)}, host ${visible(settings.host)}, data ${settings.dataDir}; channel lost: ${settings.onChannelLost}, spool full: ${settings.onSpoolFull}`,
  });
  for (const file of at.options.hostFiles) report(await serversFinding(file, WITHIN_MS));
  report(spoolFinding(settings));
  report(keyFinding(settings));
  if (!(await examineService(at))) return;
  report(await channelFinding(settings, WITHIN_MS));
  await examineRecord(at);
}

/** False where nothing more can be looked at. */
async function examineService({ producer, settings, report }: Examination): Promise<boolean> {
  const { url, token } = settings.address();
  const fromMs = Date.now();
  const answer = await fetch(new URL('/healthz', url), { signal: AbortSignal.timeout(WITHIN_MS) }).catch(
    () => undefined,
  );
  if (answer === undefined) {
    const detail = `${url} does not answer: calls go on, their events wait in the spool`;
    report({
      check: 'service',
      status: 'fail',
      cause: 'unreachable',
      detail,
      do: 'start it, or set TRIPLINE_URL',
    });
    return false;
  }
  const denied = await denialOf(producer);
  const ms = Date.now() - fromMs;
  report(
    denied === undefined
      ? { check: 'service', status: 'ok', ms, detail: `${url} answers and takes the token` }
      : {
          check: 'service',
          status: 'fail',
          cause: 'denied',
          detail: `${url} refuses ${token === undefined ? 'a host without a token' : 'the token of this host'} (${denied})`,
          do: `put a token of role producer into ${join(settings.dataDir, 'producer.token')}, or TRIPLINE_TOKEN`,
        },
  );
  report(clockFinding(answer.headers.get('date'), { fromMs, toMs: Date.now() }));
  return denied === undefined;
}

async function denialOf(producer: ApiClient): Promise<string | undefined> {
  try {
    await producer.get('/v1/controls', { limit: '1' });
    return undefined;
  } catch (error) {
    if (error instanceof TriplineError && error.code.startsWith('auth_')) return error.code;
    return undefined; // Another fault shows in what follows.
  }
}

/** A Date header has whole seconds: half of one is the doubt. */
function clockFinding(
  date: string | null,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Finding {
  const theirs = Date.parse(date ?? '');
  if (Number.isNaN(theirs))
    return { check: 'clock', status: 'skipped', detail: 'the service sends no Date header' };
  const skewMs = Math.round((fromMs + toMs) / 2 - (theirs + 500));
  const isFar = Math.abs(skewMs) > MAX_SKEW_MS;
  const detail = `this host is ${Math.abs(skewMs)} ms ${skewMs < 0 ? 'behind' : 'ahead'} (within 0.5 s)`;
  return isFar
    ? {
        check: 'clock',
        status: 'warn',
        detail,
        do: 'set the clock (NTP): rules order calls by it, and controls expire by it',
      }
    : { check: 'clock', status: 'ok', detail };
}

async function examineRecord(at: Examination): Promise<void> {
  const { settings, report } = at;
  const host = new DrillHost(settings, `doctor-${randomBytes(8).toString('hex')}`);
  await host.start();
  let drilled = false;
  try {
    const ms = await host.taken(WITHIN_MS);
    report(
      ms === undefined
        ? {
            check: 'record',
            status: 'fail',
            detail: `the service did not take a probe event within ${WITHIN_MS} ms (${host.troubles.join('; ') || 'no answer'})`,
            do: 'see the log of the service; events wait in the spool meanwhile',
          }
        : {
            check: 'record',
            status: 'ok',
            ms,
            detail: `a probe event is durable at the service, session ${host.session}`,
          },
    );
    drilled = await examineDrill(at, host);
  } finally {
    await host.close();
  }
  await examineStore(at, host.session, drilled);
}

/** Sets a control that no real call matches, and makes a call that it matches. True where the call was refused. */
async function examineDrill(at: Examination, host: DrillHost): Promise<boolean> {
  const { report, options } = at;
  const set = await setDrill(at, host.session);
  if (set.kind === 'denied') {
    if (options.waitMs !== undefined) return await awaitDrill(at, host);
    const by = `tripline kill --scope session --target ${host.session} --ttl 1m --reason drill`;
    const detail = `setting the drill needs a token of role responder or admin (${set.why})`;
    report({
      check: 'drill',
      status: 'skipped',
      detail,
      do: `--token-file FILE, or --wait 60s and somebody runs: ${by}`,
    });
    return false;
  }
  const ms = await host.armed(set.controlId, WITHIN_MS);
  const total = performance.now() - set.fromMs;
  const refused = ms !== undefined && (await host.isRefused(set.controlId));
  report(drillFinding({ ms: ms === undefined ? undefined : total, refused, troubles: host.troubles }));
  if (ms !== undefined) await reportHosts(at, set.controlId, host.session);
  await at.operator?.post(`/v1/controls/${encodeURIComponent(set.controlId)}/lift`, { reason: 'drill over' });
  return refused;
}

interface Drilled {
  readonly ms: number | undefined;
  readonly refused: boolean;
  readonly troubles: readonly string[];
}

function drillFinding({ ms, refused, troubles }: Drilled): Finding {
  if (ms !== undefined && refused) {
    const detail =
      'a control was set, came over the channel, verified, and a call was refused under it (-32090)';
    return { check: 'drill', status: 'ok', ms, detail };
  }
  const why = troubles.length === 0 ? 'it did not arrive' : troubles.join('; ');
  const detail =
    ms === undefined
      ? `the drill's control is not in force here after ${WITHIN_MS} ms: ${why}`
      : 'the call was not refused';
  return {
    check: 'drill',
    status: 'fail',
    detail,
    do: 'pin the control.pub of this service, and let WebSockets pass',
  };
}

type Setting =
  | { readonly kind: 'set'; readonly controlId: string; readonly fromMs: number }
  | { readonly kind: 'denied'; readonly why: string };

async function setDrill({ operator, options }: Examination, session: string): Promise<Setting> {
  if (operator === undefined) return { kind: 'denied', why: 'there is none' };
  const query = options.tenant === undefined ? '' : `?tenant=${encodeURIComponent(options.tenant)}`;
  const fromMs = performance.now();
  try {
    const created = (await operator.post(`/v1/controls${query}`, {
      scope: 'session',
      target: session,
      ttlMs: DRILL_TTL_MS,
      reason: 'drill of capture doctor',
    })) as { readonly control: { readonly id: string } };
    return { kind: 'set', controlId: created.control.id, fromMs };
  } catch (error) {
    if (error instanceof TriplineError && error.code.startsWith('auth_'))
      return { kind: 'denied', why: error.code };
    throw error;
  }
}

async function awaitDrill({ context, options, report }: Examination, host: DrillHost): Promise<boolean> {
  context.output.note(
    `waiting for: tripline kill --scope session --target ${host.session} --ttl 1m --reason drill`,
  );
  const refusal = await host.anyControl(options.waitMs ?? 0);
  const refused = refusal !== undefined && (await host.isRefused(refusal.controlId));
  report(
    refused
      ? {
          check: 'drill',
          status: 'ok',
          detail: 'a control that somebody else set came, verified, and a call was refused under it (-32090)',
        }
      : drillFinding({ ms: undefined, refused, troubles: host.troubles }),
  );
  return refused;
}

/** Which running hosts hold the drill's control too: theirs are the kill switches that are armed now. */
async function reportHosts({ operator, report }: Examination, controlId: string, own: string): Promise<void> {
  if (operator === undefined) return;
  const sessions = new Set<string>();
  const deadline = performance.now() + STORED_WITHIN_MS;
  try {
    while (!sessions.has(own) && performance.now() < deadline) {
      for await (const item of operator.items('/v1/events', { kind: 'control.ack', controlId }, 500))
        sessions.add(String((item as Item)['session']));
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } catch (error) {
    if (!(error instanceof TriplineError) || !error.code.startsWith('auth_')) throw error;
    const detail = 'which running hosts acknowledged the drill needs a token of role analyst or more';
    return report({ check: 'hosts', status: 'skipped', detail });
  }
  sessions.delete(own);
  const names = [...sessions].slice(0, 10).map((name) => visible(name, 40));
  const detail = `${sessions.size} running sessions acknowledged the drill too${names.length === 0 ? '' : `: ${names.join(', ')}`}`;
  report({ check: 'hosts', status: 'ok', detail });
}

/** Reads back what was sent. */
async function examineStore(
  { operator, report }: Examination,
  session: string,
  drilled: boolean,
): Promise<void> {
  const detail = 'reading the probe back needs a token of role analyst or more';
  if (operator === undefined)
    return report({ check: 'store', status: 'skipped', detail, do: '--token-file FILE' });
  const fromMs = performance.now();
  const wanted = drilled ? ['control.ack', 'call.result', 'stream.close'] : ['stream.close'];
  try {
    while (performance.now() - fromMs < STORED_WITHIN_MS) {
      const kinds: string[] = [];
      for await (const item of operator.items('/v1/events', { session }, 100))
        kinds.push(String((item as Item)['kind']));
      if (wanted.every((kind) => kinds.includes(kind)))
        return report({
          check: 'store',
          status: 'ok',
          ms: performance.now() - fromMs,
          detail: `all of it is on the ledger: ${kinds.length} events`,
        });
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } catch (error) {
    if (!(error instanceof TriplineError) || !error.code.startsWith('auth_')) throw error;
    return report({
      check: 'store',
      status: 'skipped',
      detail: `${detail} (${error.code})`,
      do: '--token-file FILE',
    });
  }
  const late = `the probe cannot be read after ${STORED_WITHIN_MS} ms; it is durable on the bus`;
  report({
    check: 'store',
    status: 'warn',
    detail: late,
    do: 'see the lag at /v1/ledger: step record is behind or stopped',
  });
}

function operatorTokenOf(
  { dataDir }: CaptureSettings,
  { tokenFile }: CaptureDoctorOptions,
): string | undefined {
  try {
    return readFileSync(tokenFile ?? join(dataDir, 'admin.token'), 'utf8').trim();
  } catch {
    if (tokenFile === undefined) return undefined;
    throw new TriplineError('usage', `--token-file: ${tokenFile} cannot be read`, { path: '--token-file' });
  }
}

const MARKS = { ok: 'ok  ', warn: 'warn', fail: 'FAIL', skipped: '-   ' } as const;

function lineOf({ check, status, detail, do: advice, ms }: Finding): string {
  const time = ms === undefined ? '' : ` (${ms.toFixed(0)} ms)`;
  return `${MARKS[status]}  ${check}: ${detail}${time}${advice === undefined ? '' : `\n        → ${advice}`}`;
}

const word = (fact: boolean | null): string => (fact === null ? 'not tried' : fact ? 'yes' : 'NO');

interface Summary {
  readonly recorded: boolean;
  /** null: not tried, and nothing speaks against it. */
  readonly armed: boolean | null;
  readonly failed: number;
}

function summaryOf(findings: readonly Finding[]): Summary {
  const statusOf = (check: Finding['check']): Finding['status'] | undefined =>
    findings.find((one) => one.check === check)?.status;
  const failed = findings.filter((one) => one.status === 'fail').length;
  const isUntried =
    statusOf('drill') === 'skipped' && findings.every((one) => one.status !== 'fail' || isUnrecorded(one));
  return {
    recorded: statusOf('record') === 'ok' && !findings.some(isUnrecorded),
    armed: isUntried ? null : statusOf('drill') === 'ok',
    failed,
  };
}

const isUnrecorded = ({ check, status }: Finding): boolean => check === 'servers' && status === 'fail';

function exitCodeOf(findings: readonly Finding[]): number {
  const failed = findings.filter((one) => one.status === 'fail');
  if (failed.some((one) => one.cause === 'denied')) return EXIT.denied;
  if (failed.some((one) => one.cause === 'unreachable')) return EXIT.unreachable;
  return failed.length === 0 ? EXIT.done : EXIT.failed;
}
