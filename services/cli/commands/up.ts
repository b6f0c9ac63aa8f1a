/** up: runs the service until SIGTERM or SIGINT. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pc from 'picocolors';
import type { Logger } from 'pino';
import { STEPS, type Config, type Step } from '../../../schemas/config/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { createLogger } from '../../platform/telemetry/log.ts';
import type { CommandContext } from '../command.ts';
import { EXIT } from '../output.ts';
import { startService, type Service } from '../service.ts';

/** At a terminal, where no configuration asks for more, only what needs attention is logged between the lines for people. */
const QUIET = { path: ['log', 'level'], value: 'warn' };

export interface UpOptions {
  readonly steps: string | undefined;
  readonly config: string | undefined;
  readonly data: string | undefined;
  readonly port: string | undefined;
}

/** Answers when the service has stopped cleanly. With --json one line says when it is ready. */
export async function up({ io, output }: CommandContext, options: UpOptions): Promise<number> {
  const file = options.config ?? io.env['TRIPLINE_CONFIG'];
  const load = (): Config =>
    loadConfig({
      file,
      env: io.env,
      overrides: [
        ...(file === undefined && io.isTerminal && !output.json ? [QUIET] : []),
        ...(options.data === undefined ? [] : [{ path: ['dataDir'], value: options.data }]),
        ...(options.port === undefined ? [] : [{ path: ['http', 'port'], value: Number(options.port) }]),
      ],
    });
  const config = load();
  const steps = parseSteps(options.steps);
  const log = createLogger(config.log);
  const readRules = (): Config['rules'] => load().rules;
  const service = await startService({ config, steps, log, announce: true, readRules });
  // At a terminal SIGHUP says that it is gone, and ends the process as ever.
  if (!io.isTerminal) io.onHangup?.(() => reloadAtHangup(service, log));
  const { url, otlpUrl = null, dataDir } = service;
  output.item({ ready: true, url, otlpUrl, dataDir }, () => readyText(service, config, steps));
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve();
    else io.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await service.stop();
  return EXIT.done;
}

function reloadAtHangup({ rules }: Service, log: Logger): void {
  if (rules === undefined) {
    log.warn('SIGHUP: this process runs no rules');
    return;
  }
  const by = { actor: 'system:detect', role: 'system', target: 'SIGHUP' };
  rules
    .reload(by)
    .catch((error: unknown) => log.error({ err: error }, 'SIGHUP: the rules stay as they were'));
}

function readyText({ url, otlpUrl, dataDir }: Service, { otlp }: Config, steps: readonly Step[]): string {
  const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
  return [
    `${pc.bold('Tripline is up')} ${pc.dim(steps.join(', '))}`,
    `  console  ${pc.cyan(`${url}/#token=${token}`)}`,
    `  API      ${url}/docs`,
    ...(steps.includes('ingest') && otlp.enabled ? [`  OTLP     ${otlpText(url, otlpUrl, otlp)}`] : []),
    `  data     ${dataDir}`,
  ].join('\n');
}

/** A port that is taken is said here: whoever points an exporter at it would talk to somebody else. */
function otlpText(url: string, otlpUrl: string | undefined, { listen }: Config['otlp']): string {
  if (otlpUrl !== undefined) return otlpUrl;
  return listen ? `${url} ${pc.yellow('(its own port is taken)')}` : url;
}

function parseSteps(list: string | undefined): readonly Step[] {
  if (list === undefined) return STEPS;
  const names = list.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !STEPS.some((step) => step === name));
  if (unknown.length > 0)
    throw new TriplineError(
      'usage',
      `--steps: ${unknown.join(', ')} is no step; the steps are ${STEPS.join(', ')}`,
      { path: '--steps' },
    );
  return STEPS.filter((step) => names.includes(step));
}
