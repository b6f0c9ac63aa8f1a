/** config print, doctor, destinations test. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { TriplineError } from '../../../schemas/errors.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { maskSecrets } from '../../platform/config/secrets.ts';
import { dataDirOf, runningUrl, tokenOf } from '../client.ts';
import { connect, type CommandContext } from '../command.ts';
import { EXIT } from '../output.ts';

interface ConfigOption {
  readonly config: string | undefined;
}

/** Prints the effective configuration as YAML (or one JSON object), secrets masked. */
export function printConfig(context: CommandContext, { config }: ConfigOption): void {
  const masked = maskSecrets(
    loadConfig({ file: config ?? context.io.env['TRIPLINE_CONFIG'], env: context.io.env }),
  );
  context.output.item(masked, () => stringify(masked).trimEnd());
}

/** Sends a test alert to one configured destination; fails with the reason when it is not taken. */
export async function testDestination(
  context: CommandContext,
  name: string,
  { config }: ConfigOption,
): Promise<void> {
  const loaded = loadConfig({ file: config ?? context.io.env['TRIPLINE_CONFIG'], env: context.io.env });
  const destination = loaded.respond.destinations.find((candidate) => candidate.name === name);
  if (destination === undefined)
    throw new TriplineError('usage', `no destination ${name} is configured`, { path: 'NAME' });
  const { deliverTest } = await import('../test-delivery.ts');
  const outcome = await deliverTest(destination);
  context.output.item({ destination: name, ...outcome }, () => `${name}: ${outcome.detail}`);
  if (!outcome.delivered)
    throw new TriplineError('unreachable', `${name} did not take the test alert: ${outcome.detail}`);
}

interface Check {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Checks, one line each; exit 1 when one fails. */
export async function doctor(context: CommandContext): Promise<number> {
  const checks = [nodeCheck(), ...dataDirChecks(context), await engineCheck(), await serviceCheck(context)];
  checks.push(...(await ledgerChecks(context)));
  for (const check of checks)
    context.output.item(check, () => `${check.ok ? 'ok  ' : 'FAIL'}  ${check.check}: ${check.detail}`);
  return checks.every((check) => check.ok) ? EXIT.done : EXIT.failed;
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { check: 'node', ok, detail: `${process.versions.node}${ok ? '' : ', 20.19 or newer is needed'}` };
}

function dataDirChecks({ io }: CommandContext): readonly Check[] {
  const dir = dataDirOf(io.env);
  if (!existsSync(dir))
    return [
      { check: 'data directory', ok: true, detail: `${dir} is not there yet; \`tripline up\` makes it` },
    ];
  try {
    accessSync(dir, constants.R_OK | constants.W_OK);
  } catch {
    return [{ check: 'data directory', ok: false, detail: `${dir} cannot be read and written by this user` }];
  }
  const keys = ['control.key', 'log.key', 'admin.token', 'producer.token'].filter((name) =>
    existsSync(join(dir, name)),
  );
  const open = keys.filter((name) => (statSync(join(dir, name)).mode & 0o077) !== 0);
  return [
    { check: 'data directory', ok: true, detail: dir },
    {
      check: 'key files',
      ok: open.length === 0,
      detail:
        open.length === 0
          ? `${keys.length} found, readable by their owner alone`
          : `others can read ${open.join(', ')}: chmod 600`,
    },
  ];
}

async function engineCheck(): Promise<Check> {
  const { createRequire } = await import('node:module');
  try {
    createRequire(import.meta.url).resolve('chdb');
    return { check: 'embedded ClickHouse', ok: true, detail: 'package chdb is installed' };
  } catch {
    return {
      check: 'embedded ClickHouse',
      ok: true,
      detail: 'package chdb is not installed; configure store.kind: clickhouse',
    };
  }
}

async function serviceCheck(context: CommandContext): Promise<Check> {
  const url = runningUrl(context.io.env);
  if (url === undefined)
    return { check: 'service', ok: true, detail: 'not running here; start it with `tripline up`' };
  try {
    await connect(context).get('/readyz');
    return {
      check: 'service',
      ok: tokenOf(context.io.env) !== undefined,
      detail: `${url} is ready${tokenOf(context.io.env) === undefined ? ', but there is no token' : ''}`,
    };
  } catch (error) {
    return {
      check: 'service',
      ok: false,
      detail: `${url}: ${error instanceof Error ? error.message : 'fault'}`,
    };
  }
}

interface LedgerState {
  readonly health?: {
    readonly state: string;
    readonly faults: readonly {
      readonly code: string;
      readonly log: string;
      readonly index: number | null;
    }[];
  } | null;
}

/** What the running service's continuous verifier says; nothing where there is none to ask. */
async function ledgerChecks(context: CommandContext): Promise<readonly Check[]> {
  if (runningUrl(context.io.env) === undefined || tokenOf(context.io.env) === undefined) return [];
  try {
    const { health } = (await connect(context).get('/v1/ledger')) as LedgerState;
    if (health === null || health === undefined) return [];
    const [fault] = health.faults;
    const detail =
      fault === undefined
        ? health.state
        : `${fault.code} in ${fault.log} at ${fault.index ?? '?'}: keep everything, run \`tripline verify\``;
    return [{ check: 'ledger', ok: fault === undefined, detail }];
  } catch {
    return []; // The service itself was checked before.
  }
}
