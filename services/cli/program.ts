/** The command line: names, options and help. Every action is imported when it runs, so that a tap starts fast. */
import { Command, CommanderError, Option } from 'commander';
import { DISPOSITIONS } from '../../schemas/alert/disposition.ts';
import { CONTROL_SCOPES } from '../../schemas/alert/v1.ts';
import { CONTROL_MODES } from '../../schemas/control/v1.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { parseCount, parseDurationMs, type CommandContext } from './command.ts';
import { EXIT, Output, type CommandIo } from './output.ts';

const FILTERS = ['tenant', 'session', 'agent', 'server', 'tool', 'class', 'since', 'until'] as const;

type Options = Readonly<Record<string, unknown>>;
type Action = (
  context: CommandContext,
  operands: readonly string[],
  options: Options,
) => Promise<number | void>;

/** Runs one command line (without node and script name); answers the exit code. Never throws. */
export async function runCommandLine(argv: readonly string[], io: CommandIo): Promise<number> {
  const json = argv.includes('--json');
  const output = new Output(io, json);
  let exitCode: number = EXIT.done;
  const program = buildProgram(io, async (action, operands, options) => {
    exitCode = (await action({ io, output }, operands, options)) ?? EXIT.done;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return output.fail(error);
  }
}

type Run = (action: Action, operands: readonly string[], options: Options) => Promise<void>;

function buildProgram(io: CommandIo, run: Run): Command {
  const program = new Command('tripline')
    .description('Flight recorder and tripwire for MCP agents.')
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .showHelpAfterError('(see --help)');
  addService(program, run);
  addGate(program, run);
  addReading(program, run);
  addDisposition(program, run);
  addControls(program, run);
  addApprove(program, run);
  addPolicy(program, run);
  addEvidence(program, run);
  addExport(program, run);
  addErasure(program, run);
  addKeys(program, run);
  addRules(program, run);
  addBacktest(program, run);
  addOperation(program, run);
  addCapture(program, run);
  return program;
}

/** A subcommand with --json, whose action gets operands and options. */
function define(
  parent: Command,
  usage: string,
  [description, action]: readonly [string, Action],
  run: Run,
): Command {
  const command = parent
    .command(usage)
    .description(description)
    .option('--json', 'one JSON object a line on stdout, everything else on stderr')
    .configureOutput({ ...parent.configureOutput() })
    .exitOverride();
  command.action(async (...args: unknown[]) => {
    const operands = args
      .slice(0, -2)
      .flat()
      .filter((value): value is string => typeof value === 'string');
    await run(action, operands, command.opts());
  });
  return command;
}

function withFilters(command: Command, names: readonly (typeof FILTERS)[number][] = FILTERS): Command {
  for (const name of names)
    command.option(
      `--${name} <value>`,
      name === 'since' || name === 'until' ? 'RFC 3339 time' : 'exact match',
    );
  return command;
}

function filtersOf(options: Options): Readonly<Record<string, string | undefined>> {
  const names = [...FILTERS, 'event', 'limit', 'kind', 'rule', 'level', 'disposition'];
  return Object.fromEntries(
    names.map((name) => [name, typeof options[name] === 'string' ? options[name] : undefined]),
  );
}

const text = (options: Options, name: string): string | undefined =>
  typeof options[name] === 'string' ? options[name] : undefined;

/** A whole number in the range, where the option is given. Throws usage. */
function countOf(options: Options, name: string, range: readonly [number, number]): number | undefined {
  const value = text(options, name);
  return value === undefined ? undefined : parseCount(value, `--${name}`, range);
}

/** Values of an option that may be given several. */
function texts(options: Options, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

function addService(program: Command, run: Run): void {
  define(program, 'up', ['Starts the service: all steps in one process, or a subset of them.', upAction], run)
    .option('--steps <list>', 'comma-separated: ingest,record,sign,detect,respond,query')
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

function addWitness(program: Command, run: Run): void {
  const action: Action = async (context, _operands, options) => {
    const { witness } = await import('./commands/witness.ts');
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

function addGate(program: Command, run: Run): void {
  const action: Action = async (context, _operands, options) => {
    const { gate } = await import('./commands/gate.ts');
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
  const { up } = await import('./commands/up.ts');
  return await up(context, {
    steps: text(options, 'steps'),
    config: text(options, 'config'),
    data: text(options, 'data'),
    port: text(options, 'port'),
  });
};

const replayAction: Action = async (context, [file = ''], options) => {
  const { replay } = await import('./commands/replay.ts');
  const rate = text(options, 'rate');
  const totals = await replay(context, file, {
    format: options['format'] === 'trace-v1' ? 'trace-v1' : 'event',
    ratePerSecond: rate === undefined ? undefined : parseCount(rate, '--rate', [1, 10_000_000]),
  });
  return totals.rejected > 0 || context.io.signal.aborted ? EXIT.failed : EXIT.done;
};

function addReading(program: Command, run: Run): void {
  const listing = (name: 'sessions' | 'alerts' | 'controls', description: string): Command => {
    const action: Action = async (context, _operands, options) => {
      const { list } = await import('./commands/read.ts');
      await list(context, name, filtersOf(options));
    };
    return withFilters(define(program, name, [description, action], run)).option(
      '--limit <n>',
      'items at most',
      '100',
    );
  };
  listing('sessions', 'Lists sessions, newest first.');
  listing('alerts', 'Lists alerts, newest first.').addOption(
    new Option('--disposition <value>', 'what they were found to be; none: nobody said anything yet').choices(
      [...DISPOSITIONS, 'none'],
    ),
  );
  listing('controls', 'Lists controls.');
  withFilters(
    define(program, 'tail', ['Follows events as they arrive.', tailAction], run),
    FILTERS.filter((name) => name !== 'since' && name !== 'until'),
  ).option('--count <n>', 'end after so many');
  define(program, 'session <id>', ['Shows one session as a timeline.', sessionAction], run).option(
    '--tenant <value>',
    'tenant',
  );
  const ledger = define(
    program,
    'ledger',
    ['Shows heads, lag, coverage and faults of the ledger.', ledgerAction],
    run,
  ).option('--tenant <value>', 'tenant');
  define(
    ledger,
    'accept-loss',
    ['Lets record go on behind records that are gone from the bus for good; on record.', lossAction],
    run,
  )
    .requiredOption('--topic <name>', 'topic')
    .requiredOption('--partition <n>', 'partition')
    .requiredOption('--from <offset>', 'first offset that is gone')
    .requiredOption('--to <offset>', 'first one that is there again')
    .requiredOption('--reason <text>', 'why; on record');
}

const tailAction: Action = async (context, _operands, options) => {
  const { tail } = await import('./commands/read.ts');
  const count = text(options, 'count');
  await tail(
    context,
    filtersOf(options),
    count === undefined ? Infinity : parseCount(count, '--count', [1, 1e9]),
  );
};
const sessionAction: Action = async (context, [id = ''], options) => {
  const { session } = await import('./commands/read.ts');
  await session(context, id, filtersOf(options));
};
const lossAction: Action = async (context, _operands, options) => {
  const { acceptLoss } = await import('./commands/accept-loss.ts');
  const [topic = '', reason = ''] = [text(options, 'topic'), text(options, 'reason')];
  const count = (name: string, most: number): number =>
    parseCount(text(options, name) ?? '', `--${name}`, [0, most]);
  const most = Number.MAX_SAFE_INTEGER;
  const offsets = { fromOffset: count('from', most), toOffset: count('to', most) };
  await acceptLoss(context, { topic, partition: count('partition', 65_535), ...offsets, reason });
};
const ledgerAction: Action = async (context, _operands, options) => {
  const { ledger } = await import('./commands/read.ts');
  await ledger(context, filtersOf(options));
};

function addDisposition(program: Command, run: Run): void {
  const action: Action = async (context, [id = ''], options) => {
    const { setDisposition } = await import('./commands/disposition.ts');
    const [disposition = '', reason = ''] = [text(options, 'as'), text(options, 'reason')];
    await setDisposition(context, id, { disposition, reason, tenant: text(options, 'tenant') });
  };
  define(program, 'disposition <alert-id>', ['Says what an alert was found to be.', action], run)
    .addOption(
      new Option('--as <disposition>', 'a benign one is expected or allowed; a false one is no such chain')
        .choices([...DISPOSITIONS])
        .makeOptionMandatory(),
    )
    .requiredOption('--reason <text>', 'why; on record')
    .option('--tenant <name>', 'tenant');
}

function addControls(program: Command, run: Run): void {
  define(program, 'kill', ['Sets a kill switch.', killAction], run)
    .addOption(
      new Option('--scope <scope>', 'what it stops').choices([...CONTROL_SCOPES]).makeOptionMandatory(),
    )
    .option('--target <name>', 'name of the tool, class, server, agent or session')
    .addOption(
      new Option('--mode <mode>', 'shadow only records').choices([...CONTROL_MODES]).default('enforce'),
    )
    .requiredOption('--ttl <duration>', 'how long it holds: 30s, 15m, 1h, 7d')
    .requiredOption('--reason <text>', 'why; on record')
    .option('--tenant <name>', 'tenant')
    .option('--wait', 'return when a host has acknowledged it');
  define(program, 'lift <id>', ['Lifts a control.', liftAction], run).requiredOption(
    '--reason <text>',
    'why; on record',
  );
}

const killAction: Action = async (context, _operands, options) => {
  const { kill } = await import('./commands/control.ts');
  const optional = Object.fromEntries(
    ['target', 'mode', 'tenant'].flatMap((name) =>
      text(options, name) === undefined ? [] : [[name, text(options, name)]],
    ),
  );
  await kill(context, {
    ...optional,
    scope: text(options, 'scope') ?? '',
    ttl: text(options, 'ttl') ?? '',
    reason: text(options, 'reason') ?? '',
    wait: options['wait'] === true,
  });
};
const liftAction: Action = async (context, [id = ''], options) => {
  const { lift } = await import('./commands/control.ts');
  await lift(context, id, text(options, 'reason') ?? '');
};

function addErasure(program: Command, run: Run): void {
  const names = (options: Options) => ({
    principal: text(options, 'principal'),
    session: text(options, 'session'),
    tenant: text(options, 'tenant'),
    reason: text(options, 'reason') ?? '',
  });
  const eraseAction: Action = async (context, _operands, options) => {
    const { erase } = await import('./commands/erasure.ts');
    return await erase(context, names(options));
  };
  const addAction: Action = async (context, _operands, options) => {
    const { addHold } = await import('./commands/erasure.ts');
    await addHold(context, names(options));
  };
  const listAction: Action = async (context) => {
    const { listHolds } = await import('./commands/erasure.ts');
    await listHolds(context);
  };
  const releaseAction: Action = async (context, [id = ''], options) => {
    const { releaseHold } = await import('./commands/erasure.ts');
    await releaseHold(context, id, text(options, 'reason') ?? '');
  };
  const withSubject = (command: Command): Command =>
    command
      .option('--principal <name>', 'who')
      .option('--session <id>', 'which session')
      .option('--tenant <name>', 'tenant')
      .requiredOption('--reason <text>', 'why; on record, so name nobody in it');
  withSubject(
    define(program, 'erase', ['Erases what a principal or a session said, for good.', eraseAction], run),
  );
  const hold = program
    .command('hold')
    .description('Legal holds: what is held is not erased, by nobody and by no age.');
  withSubject(define(hold, 'add', ['Holds a principal, a session, or all of a tenant.', addAction], run));
  define(hold, 'list', ['Lists what is held.', listAction], run);
  define(hold, 'release <id>', ['Releases a hold.', releaseAction], run).requiredOption(
    '--reason <text>',
    'why; on record',
  );
}

function addKeys(program: Command, run: Run): void {
  const keys = program.command('keys').description('Agent keys: who vouches for events.').exitOverride();
  keys.configureOutput({ ...program.configureOutput() });
  const agent = keys.command('agent').description('The agent key of this host.').exitOverride();
  agent.configureOutput({ ...program.configureOutput() });
  const create: Action = async (context) => {
    const { createAgentKey } = await import('./commands/keys.ts');
    await createAgentKey(context);
  };
  define(agent, 'create', ['Makes the agent key of this host; taps sign with it from then on.', create], run);
  const register: Action = async (context, [key = ''], options) => {
    const { registerKey } = await import('./commands/keys.ts');
    await registerKey(context, key, { name: text(options, 'name') ?? '', tenant: text(options, 'tenant') });
  };
  define(keys, 'register <key>', ['Registers a public key (base64, or a file) for a tenant.', register], run)
    .requiredOption('--name <name>', 'whose key it is')
    .option('--tenant <name>', 'tenant');
  const rotate = keys.command('rotate').description('Replaces a key of the service.').exitOverride();
  rotate.configureOutput({ ...program.configureOutput() });
  const rotateAction: Action = async (context, _operands, options) => {
    const { rotateLog } = await import('./commands/keys.ts');
    await rotateLog(context, text(options, 'config'));
  };
  define(
    rotate,
    'log',
    ['Makes a new log key, signed in by the old one; the service must be stopped.', rotateAction],
    run,
  ).option('--config <file>', 'YAML configuration');
  const list: Action = async (context, _operands, options) => {
    const { listKeys } = await import('./commands/keys.ts');
    await listKeys(context, text(options, 'tenant'));
  };
  define(keys, 'list', ['Lists the agent keys of a tenant.', list], run).option('--tenant <name>', 'tenant');
  const revoke: Action = async (context, [id = ''], options) => {
    const { revokeKey } = await import('./commands/keys.ts');
    await revokeKey(context, id, { reason: text(options, 'reason') ?? '', tenant: text(options, 'tenant') });
  };
  define(keys, 'revoke <id>', ['Revokes an agent key: nothing that is appended later counts.', revoke], run)
    .requiredOption('--reason <text>', 'why; on record')
    .option('--tenant <name>', 'tenant');
}

function addApprove(program: Command, run: Run): void {
  const approveAction: Action = async (context, [id], options) => {
    const { approve } = await import('./commands/approve.ts');
    const answer = options['grant'] === true ? 'grant' : options['deny'] === true ? 'deny' : undefined;
    const [reason, ttl, state, tenant] = ['reason', 'ttl', 'state', 'tenant'].map((name) =>
      text(options, name),
    );
    await approve(context, { id, answer, reason, ttl, state, tenant });
  };
  define(
    program,
    'approve [id]',
    [
      'Lists the calls that wait for approval; with an id shows its exact arguments, grants or denies it.',
      approveAction,
    ],
    run,
  )
    .option('--grant', 'let this very call leave, once')
    .addOption(new Option('--deny', 'refuse it').conflicts('grant'))
    .option('--reason <text>', 'why; on record')
    .option('--ttl <duration>', 'how long the grant may be used (default 10m, at most 24h)')
    .addOption(
      new Option('--state <state>', 'of the list').choices([
        'pending',
        'granted',
        'denied',
        'expired',
        'all',
      ]),
    )
    .option('--tenant <name>', 'tenant');
}

function addPolicy(program: Command, run: Run): void {
  const policy = program
    .command('policy')
    .description('Checks and tries the policy of a host.')
    .exitOverride();
  policy.configureOutput({ ...program.configureOutput() });
  const checkAction: Action = async (context, [file = ''], options) => {
    const { checkPolicy } = await import('./commands/policy.ts');
    return checkPolicy(context, file, { strict: options['strict'] === true });
  };
  define(
    policy,
    'check <file>',
    ['Tells every fault of a policy, and what in it is hardly meant.', checkAction],
    run,
  ).option('--strict', 'warnings fail too');
  const testAction: Action = async (context, [file = ''], options) => {
    const { testPolicy } = await import('./commands/policy.ts');
    const [events = '', environment, task] = ['events', 'environment', 'task'].map((name) =>
      text(options, name),
    );
    return testPolicy(context, { file, events, environment, task });
  };
  define(
    policy,
    'test <file>',
    ['Says which recorded calls a policy would not have let go.', testAction],
    run,
  )
    .requiredOption('--events <file>', 'NDJSON of events')
    .option('--environment <name>', 'as TRIPLINE_ENVIRONMENT of the host')
    .option('--task <name>', 'as TRIPLINE_TASK of the host');
}

function addEvidence(program: Command, run: Run): void {
  const verifyAction: Action = async (context, _operands, options) => {
    const { verify } = await import('./commands/evidence.ts');
    return await verify(context, {
      file: text(options, 'export'),
      keyFile: text(options, 'key'),
      policyFile: text(options, 'policy'),
      checkpointFile: text(options, 'checkpoint'),
      tsaFile: text(options, 'tsa'),
      agentKeysFile: text(options, 'agentKeys'),
      sampleEvery: countOf(options, 'sample', [2, 1_000_000]),
      resumeFile: text(options, 'resume'),
    });
  };
  define(
    program,
    'verify',
    [
      'Proves the ledger: chain, tree, heads, bytes, projection. Exit 0 witnessed, 10 verified, 20 incomplete, 30 diverges, 40 invalid.',
      verifyAction,
    ],
    run,
  )
    .option('--export <file>', 'verify a bundle instead of the service or data directory')
    .option(
      '--key <file>',
      'log.pub of the deployment, kept from elsewhere: heads of any other key are refused',
    )
    .option(
      '--policy <file>',
      'C2SP tlog-policy: the logs and witnesses that you trust, and how many must vouch',
    )
    .option(
      '--checkpoint <file>',
      'checkpoint of the root log, kept from earlier: what does not extend it diverges',
    )
    .option(
      '--tsa <file>',
      'certificates, in PEM, of time stamp authorities that you trust, or of their issuers',
    )
    .option(
      '--agent-keys <file>',
      'agent keys that count, whatever is registered: `<base64> <name> [revoked <RFC 3339>]` a line',
    )
    .option('--sample <n>', 'look into one entry of n; chain and tree are checked of all')
    .option('--resume <file>', 'go on where an earlier run stopped; its state is kept in this file');
}

function addExport(program: Command, run: Run): void {
  const exportAction: Action = async (context, _operands, options) => {
    const { exportBundle } = await import('./commands/evidence.ts');
    await exportBundle(context, {
      out: text(options, 'out') ?? '',
      filters: filtersOf(options),
      payloads: options['payloads'] === true,
      ocsf: options['ocsf'] === true,
    });
  };
  define(
    program,
    'export',
    ['Writes a bundle with proofs that `verify --export` checks offline.', exportAction],
    run,
  )
    .requiredOption('--out <dir>', 'directory to write into')
    .option('--event <id>', 'one event, as the API and alerts name it')
    .option('--ocsf', 'calls and alerts as OCSF events too (ocsf.ndjson)')
    .option('--payloads', 'the bytes of each entry as a file of its own too')
    .option('--session <id>', 'one session')
    .option('--tenant <name>', 'tenant')
    .option('--since <time>', 'RFC 3339 time')
    .option('--until <time>', 'RFC 3339 time');
}

function addRules(program: Command, run: Run): void {
  const rules = program.command('rules').description('Tests and tries detection rules.').exitOverride();
  rules.configureOutput({ ...program.configureOutput() });
  const testAction: Action = async (context, files) => {
    const { testRules } = await import('./commands/rules.ts');
    return await testRules(context, files);
  };
  define(
    rules,
    'test [files...]',
    ['Runs the tests inside rules (the shipped ones by default).', testAction],
    run,
  );
  const lintAction: Action = async (context, files, options) => {
    const { lintRules } = await import('./commands/rules-lint.ts');
    return await lintRules(context, files, { strict: options['strict'] === true });
  };
  define(
    rules,
    'lint [files...]',
    ['Checks rule files, and says what each rule costs and what in it is hardly meant.', lintAction],
    run,
  ).option('--strict', 'warnings fail too');
  const explainAction: Action = async (context, [rule = ''], options) => {
    const { explain } = await import('./commands/rules-explain.ts');
    const [events, session, tenant, config] = ['events', 'session', 'tenant', 'config'].map((name) =>
      text(options, name),
    );
    await explain(context, { rule, events, session, tenant, config });
  };
  define(
    rules,
    'explain <rule>',
    [
      'Says why a rule (a file, or the id of a shipped one) fired, or what it still waits for.',
      explainAction,
    ],
    run,
  )
    .option('--events <file>', 'NDJSON of events')
    .option('--session <id>', 'a session on record')
    .option('--tenant <name>', 'tenant of the session')
    .option('--config <file>', 'YAML configuration');
  const reloadAction: Action = async (context) => {
    const { reloadRules } = await import('./commands/rules-reload.ts');
    return await reloadRules(context);
  };
  define(
    rules,
    'reload',
    ['The running service reads its rules again, as an audited change (role admin).', reloadAction],
    run,
  );
  const newAction: Action = async (context, [id = '']) => {
    const { newRule } = await import('./commands/rules.ts');
    newRule(context, id);
  };
  define(rules, 'new <id>', ['Prints a rule to start from, with tests.', newAction], run);
  addRuleImports(rules, run);
}

function addRuleImports(rules: Command, run: Run): void {
  const importAction: Action = async (context, _operands, options) => {
    if (options['eql'] !== undefined || options['eqlFile'] !== undefined)
      return await importEqlAction(context, [], options);
    const { importRules } = await import('./commands/rules-import.ts');
    return importRules(context, texts(options, 'sigma'));
  };
  define(
    rules,
    'import',
    ['Prints rules of another language as rules of ours; says what it cannot import, and why.', importAction],
    run,
  )
    .option('--sigma <file...>', 'Sigma rules: single events and correlations (specification 2.1)')
    .addOption(new Option('--eql <query>', 'EQL sequence').conflicts(['sigma', 'eqlFile']))
    .addOption(new Option('--eql-file <file>', 'file that holds an EQL sequence').conflicts('sigma'))
    .option('--id <id>', 'id of the rule made from --eql or --eql-file', 'imported.eql');
  const matchAction: Action = async (context, _operands, options) => {
    if (text(options, 'eql') !== undefined) return await matchEqlAction(context, [], options);
    if (text(options, 'rule') === undefined)
      throw new TriplineError('usage', 'rules match takes --rule FILE or --eql QUERY', { path: '--rule' });
    const { matchRule } = await import('./commands/rules.ts');
    await matchRule(context, text(options, 'rule') ?? '', text(options, 'events') ?? '');
  };
  const match = define(rules, 'match', ['Tries one rule on a file of events.', matchAction], run)
    .addOption(new Option('--rule <file>', 'rule file').conflicts('eql'))
    .requiredOption('--events <file>', 'NDJSON of events; with --eql also a JSON array of any objects');
  withEqlOptions(match);
}

/** What --eql takes besides: where EQL's own fields stand in the events. */
function withEqlOptions(command: Command): void {
  command
    .option('--eql <query>', 'EQL query, run as EQL would')
    .option('--id-field <field>', 'id of an event, for --eql', '_id')
    .option('--category-field <field>', 'category of an event, for --eql', 'event.category')
    .option('--timestamp-field <field>', 'time of an event, for --eql', '@timestamp')
    .option('--tiebreaker <field>', 'order of events of one time, for --eql')
    .addOption(
      new Option('--dialect <dialect>', 'of the --eql query; auto looks for what only the older one has')
        .choices(['auto', 'elasticsearch', 'endgame'])
        .default('auto'),
    );
}

const matchEqlAction: Action = async (context, _operands, options) => {
  const { matchEqlQuery } = await import('./commands/rules-eql.ts');
  const dialect = text(options, 'dialect');
  await matchEqlQuery(context, {
    query: text(options, 'eql') ?? '',
    eventsFile: text(options, 'events') ?? '',
    idField: text(options, 'idField') ?? '_id',
    categoryField: text(options, 'categoryField') ?? 'event.category',
    timestampField: text(options, 'timestampField') ?? '@timestamp',
    tiebreaker: text(options, 'tiebreaker'),
    dialect: dialect === 'elasticsearch' || dialect === 'endgame' ? dialect : 'auto',
  });
};

const importEqlAction: Action = async (context, _operands, options) => {
  const { importEqlQuery } = await import('./commands/rules-eql.ts');
  return await importEqlQuery(context, {
    query: text(options, 'eql'),
    file: text(options, 'eqlFile'),
    id: text(options, 'id') ?? 'imported.eql',
  });
};

function addBacktest(program: Command, run: Run): void {
  const action: Action = async (context, [rule = ''], options) => {
    const { backtest } = await import('./commands/backtest.ts');
    return await backtest(context, { rule, config: text(options, 'config'), filters: filtersOf(options) });
  };
  define(
    program,
    'backtest <rule>',
    ['Runs a rule (a file, or the id of a shipped one) over what is on record; publishes nothing.', action],
    run,
  )
    .option('--since <time>', 'RFC 3339 time')
    .option('--until <time>', 'RFC 3339 time')
    .option('--tenant <name>', 'tenant')
    .option('--config <file>', 'YAML configuration');
}

function addOperation(program: Command, run: Run): void {
  const config = program.command('config').description('Shows the configuration.').exitOverride();
  config.configureOutput({ ...program.configureOutput() });
  const printAction: Action = async (context, _operands, options) => {
    const { printConfig } = await import('./commands/operation.ts');
    printConfig(context, { config: text(options, 'config') });
  };
  define(config, 'print', ['Prints the effective configuration, secrets masked.', printAction], run).option(
    '--config <file>',
    'YAML configuration',
  );
  const doctorAction: Action = async (context) => {
    const { doctor } = await import('./commands/operation.ts');
    return await doctor(context);
  };
  define(program, 'doctor', ['Checks this machine, the service and the data directory.', doctorAction], run);
  const destinations = program.command('destinations').description('Where alerts go.').exitOverride();
  destinations.configureOutput({ ...program.configureOutput() });
  const testAction: Action = async (context, [name = ''], options) => {
    const { testDestination } = await import('./commands/operation.ts');
    await testDestination(context, name, { config: text(options, 'config') });
  };
  define(destinations, 'test <name>', ['Sends a test alert to one destination.', testAction], run).option(
    '--config <file>',
    'YAML configuration',
  );
}

function addCapture(program: Command, run: Run): void {
  const capture = program.command('capture').description('The hosts that are recorded.').exitOverride();
  capture.configureOutput({ ...program.configureOutput() });
  const action: Action = async (context, _operands, options) => {
    const { captureDoctor } = await import('./commands/capture-doctor.ts');
    const wait = text(options, 'wait');
    return await captureDoctor(context, {
      tokenFile: text(options, 'tokenFile'),
      tenant: text(options, 'tenant'),
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
    .option('--wait <duration>', 'without such a token: wait so long for a drill that somebody else sets');
}
