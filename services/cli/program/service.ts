/** Commands that run something: the service, a witness, the gate; and sending a file. */
import { type Command, Option } from 'commander';
import { parseCount } from '../command.ts';
import { EXIT } from '../output.ts';
import { type Action, type Run, define, text, texts } from './define.ts';

export function addService(program: Command, run: Run): void {
  define(program, 'up', ['Starts the service: all steps in one process, or a subset of them.', upAction], run)
    .option('--steps <list>', 'comma-separated: ingest,record,sign,detect,respond,query,verify')
    .option('--config <file>', 'YAML configuration')
    .option('--data <dir>', 'data directory (default ~/.tripline)')
    .option('--port <n>', 'HTTP port (0 = any free one)');
  addWitness(program, run);
  program
    .command('tap')
    .description(
      'Stdio proxy: records what a host and an MCP server say. Options stand before --, the server command after it.',
    )
    .usage('[--server NAME] [--agent NAME] [--inject-trace] -- COMMAND ARGS…');
  define(
    program,
    'replay <file>',
    ['Sends a file of events (NDJSON, also .gz) to the service.', replayAction],
    run,
  )
    .addOption(
      new Option('--format <format>', 'form of the lines').choices(['event', 'trace-v1']).default('event'),
    )
    .option('--rate <n>', 'events a second at most');
}

export function addWitness(program: Command, run: Run): void {
  const action: Action = async (context, _operands, options) => {
    const { witness } = await import('../commands/witness.ts');
    const [config, name, state, host, port] = ['config', 'name', 'state', 'host', 'port'].map((option) =>
      text(options, option),
    );
    await witness(context, { config, name, state, host, port, logs: texts(options, 'log') });
  };
  define(program, 'witness', ['Cosigns checkpoints of logs that it knows (C2SP tlog-witness).', action], run)
    .option('--config <file>', 'YAML configuration')
    .option('--name <name>', 'name of the witness key, such as witness.example.org/w1')
    .option('--state <dir>', 'directory of its key and of what it has cosigned')
    .option('--log <vkey...>', 'verifier keys of the logs that it cosigns')
    .option('--host <address>', 'address to listen on (default 127.0.0.1)')
    .option('--port <n>', 'HTTP port (default 8748, 0 = any free one)');
}

export function addGate(program: Command, run: Run): void {
  const action: Action = async (context, _operands, options) => {
    const { gate } = await import('../commands/gate.ts');
    const [config, upstream, server, port, agent] = ['config', 'upstream', 'server', 'port', 'agent'].map(
      (name) => text(options, name),
    );
    return await gate(context, { config, upstream, server, port, agent, check: options['check'] === true });
  };
  define(
    program,
    'gate',
    ['Reverse proxy before MCP servers on streamable HTTP: records and enforces as the tap does.', action],
    run,
  )
    .addOption(new Option('--config <file>', 'YAML configuration').conflicts(['upstream', 'server', 'agent']))
    .option('--upstream <url>', 'one MCP endpoint, instead of a configuration')
    .option('--server <name>', 'name of that server in events, rules and controls; its path at the gate')
    .option('--agent <name>', 'name of the agent (default: TRIPLINE_AGENT)')
    .option('--port <n>', 'port on loopback (0 = any free one)')
    .option('--check', 'print what would be in force, secrets masked, and end');
}

const upAction: Action = async (context, _operands, options) => {
  const { up } = await import('../commands/up.ts');
  return await up(context, {
    steps: text(options, 'steps'),
    config: text(options, 'config'),
    data: text(options, 'data'),
    port: text(options, 'port'),
  });
};

const replayAction: Action = async (context, [file = ''], options) => {
  const { replay } = await import('../commands/replay.ts');
  const rate = text(options, 'rate');
  const totals = await replay(context, file, {
    format: options['format'] === 'trace-v1' ? 'trace-v1' : 'event',
    ratePerSecond: rate === undefined ? undefined : parseCount(rate, '--rate', [1, 10_000_000]),
  });
  return totals.rejected > 0 || context.io.signal.aborted ? EXIT.failed : EXIT.done;
};
