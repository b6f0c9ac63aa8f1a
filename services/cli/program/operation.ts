/** Commands of an operator: configuration, destinations, health of service and host. */
import type { Command } from 'commander';
import { parseDurationMs } from '../command.ts';
import { type Action, type Run, define, text, texts } from './define.ts';

export function addOperation(program: Command, run: Run): void {
  const config = program.command('config').description('Shows the configuration.').exitOverride();
  config.configureOutput({ ...program.configureOutput() });
  const printAction: Action = async (context, _operands, options) => {
    const { printConfig } = await import('../commands/operation.ts');
    printConfig(context, { config: text(options, 'config') });
  };
  define(config, 'print', ['Prints the effective configuration, secrets masked.', printAction], run).option(
    '--config <file>',
    'YAML configuration',
  );
  const doctorAction: Action = async (context) => {
    const { doctor } = await import('../commands/operation.ts');
    return await doctor(context);
  };
  define(program, 'doctor', ['Checks this machine, the service and the data directory.', doctorAction], run);
  const destinations = program.command('destinations').description('Where alerts go.').exitOverride();
  destinations.configureOutput({ ...program.configureOutput() });
  const testAction: Action = async (context, [name = ''], options) => {
    const { testDestination } = await import('../commands/operation.ts');
    await testDestination(context, name, { config: text(options, 'config') });
  };
  define(destinations, 'test <name>', ['Sends a test alert to one destination.', testAction], run).option(
    '--config <file>',
    'YAML configuration',
  );
}

export function addCapture(program: Command, run: Run): void {
  const capture = program.command('capture').description('The hosts that are recorded.').exitOverride();
  capture.configureOutput({ ...program.configureOutput() });
  const action: Action = async (context, _operands, options) => {
    const { captureDoctor } = await import('../commands/capture-doctor.ts');
    const wait = text(options, 'wait');
    return await captureDoctor(context, {
      tokenFile: text(options, 'tokenFile'),
      tenant: text(options, 'tenant'),
      hostFiles: texts(options, 'mcp'),
      waitMs: wait === undefined ? undefined : parseDurationMs(wait, '--wait'),
    });
  };
  define(
    capture,
    'doctor',
    ['Is this host recorded, and is its kill switch armed? Tries both, as a host would.', action],
    run,
  )
    .option('--token-file <file>', 'token of role responder or admin, for the drill (default admin.token)')
    .option('--tenant <name>', 'tenant of this host, where that token is one of all tenants')
    .option(
      '--mcp <file...>',
      'files of hosts (mcp.json and its like): is each of their servers behind a tap or a gate?',
    )
    .option('--wait <duration>', 'without such a token: wait so long for a drill that somebody else sets');
}
