/** Commands that stop calls or let them go: kill switches, approvals, the policy of a host. */
import { type Command, Option } from 'commander';
import { CONTROL_SCOPES } from '../../../schemas/alert/v1.ts';
import { CONTROL_MODES } from '../../../schemas/control/v1.ts';
import { type Action, type Run, define, text } from './define.ts';

export function addControls(program: Command, run: Run): void {
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
  const { kill } = await import('../commands/control.ts');
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
  const { lift } = await import('../commands/control.ts');
  await lift(context, id, text(options, 'reason') ?? '');
};

export function addApprove(program: Command, run: Run): void {
  const approveAction: Action = async (context, [id], options) => {
    const { approve } = await import('../commands/approve.ts');
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

export function addPolicy(program: Command, run: Run): void {
  const policy = program
    .command('policy')
    .description('Checks and tries the policy of a host.')
    .exitOverride();
  policy.configureOutput({ ...program.configureOutput() });
  const checkAction: Action = async (context, [file = ''], options) => {
    const { checkPolicy } = await import('../commands/policy.ts');
    return checkPolicy(context, file, { strict: options['strict'] === true });
  };
  define(
    policy,
    'check <file>',
    ['Tells every fault of a policy, and what in it is hardly meant.', checkAction],
    run,
  ).option('--strict', 'warnings fail too');
  const testAction: Action = async (context, [file = ''], options) => {
    const { testPolicy } = await import('../commands/policy.ts');
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

export function addRedaction(program: Command, run: Run): void {
  const redaction = program
    .command('redaction')
    .description('Checks, tries and proves what a host keeps off the record.')
    .exitOverride();
  redaction.configureOutput({ ...program.configureOutput() });
  const checkAction: Action = async (context, [file = '']) =>
    (await import('../commands/redaction.ts')).checkRedaction(context, file);
  define(redaction, 'check <file>', ['Tells every fault of a redaction file.', checkAction], run);
  const keyAction: Action = async (context, [file = '']) =>
    (await import('../commands/redaction.ts')).makeKey(context, file);
  define(redaction, 'key <file>', ['Makes the redaction key of a host.', keyAction], run);
  addRedactionTest(redaction, run);
  addRedactionProof(redaction, run);
}

function addRedactionTest(redaction: Command, run: Run): void {
  const action: Action = async (context, [file = '', input = '-'], options) => {
    const { testRedaction } = await import('../commands/redaction.ts');
    const of = options['of'] === 'result' ? 'result' : 'args';
    const {
      server = 'server',
      tool,
      key,
    } = Object.fromEntries(['server', 'tool', 'key'].map((name) => [name, text(options, name)]));
    return testRedaction(context, { file, input, key, server, tool, of });
  };
  define(
    redaction,
    'test <file> [input]',
    ['Shows what would be on record of events, or of a body.', action],
    run,
  )
    .option('--server <name>', 'of a body: the server')
    .option('--tool <name>', 'of a body: the tool, or the method')
    .addOption(new Option('--of <side>', 'what a body is').choices(['args', 'result']))
    .option('--key <file>', 'the redaction key; else one that nobody keeps');
}

function addRedactionProof(redaction: Command, run: Run): void {
  const action: Action = async (context, [file = ''], options) => {
    const { provesRedaction } = await import('../commands/redaction.ts');
    const [key = '', original = '', event = '', id] = ['key', 'original', 'event', 'id'].map((name) =>
      text(options, name),
    );
    return provesRedaction(context, { file, key, original, event, id });
  };
  define(
    redaction,
    'prove <file>',
    ['Says whether an original under these rules gives exactly what is on record.', action],
    run,
  )
    .requiredOption('--key <file>', 'the redaction key')
    .requiredOption('--original <file>', 'the body as it was on the wire')
    .requiredOption('--event <file>', 'NDJSON with the event, and with its call.body parts')
    .option('--id <event>', 'the event, where the file holds several');
}
