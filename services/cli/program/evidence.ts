/** Commands of auditors: verify, export, erasures and holds, keys. */
import type { Command } from 'commander';
import { TriplineError } from '../../../schemas/errors.ts';
import { MAX_JOBS } from '../../verifier/workers.ts';
import { type Options, type Action, type Run, define, filtersOf, text, countOf } from './define.ts';

export function addEvidence(program: Command, run: Run): void {
  const verifyAction: Action = async (context, _operands, options) => {
    const { verify } = await import('../commands/evidence.ts');
    return await verify(context, {
      file: text(options, 'export'),
      rootLog: text(options, 'rootLog'),
      keyFile: text(options, 'key'),
      policyFile: text(options, 'policy'),
      checkpointFile: text(options, 'checkpoint'),
      tsaFile: text(options, 'tsa'),
      agentKeysFile: text(options, 'agentKeys'),
      sampleEvery: countOf(options, 'sample', [2, 1_000_000]),
      resumeFile: text(options, 'resume'),
      jobs: countOf(options, 'jobs', [1, MAX_JOBS]),
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
      '--root-log <dir>',
      'verify a copy of the root log alone (rootLog.copyDir); needs --policy or --key',
    )
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
    .option('--resume <file>', 'go on where an earlier run stopped; its state is kept in this file')
    .option(
      '--jobs <n>',
      `threads that look into entries, 1 to ${MAX_JOBS}; without it as many as there are cores. The report is the same`,
    );
}

export function addExport(program: Command, run: Run): void {
  const exportAction: Action = async (context, _operands, options) => {
    const { exportBundle } = await import('../commands/evidence.ts');
    await exportBundle(context, {
      out: text(options, 'out') ?? '',
      filters: filtersOf(options),
      payloads: options['payloads'] === true,
      ocsf: options['ocsf'] === true,
      format: formatOf(options),
    });
  };
  define(
    program,
    'export',
    ['Writes a bundle with proofs that `verify --export` checks offline.', exportAction],
    run,
  )
    .requiredOption('--out <dir>', 'directory to write into')
    .option(
      '--format <name>',
      'ndjson (readable) or binary (smaller, verified several times as fast)',
      'ndjson',
    )
    .option('--event <id>', 'one event, as the API and alerts name it')
    .option('--ocsf', 'calls and alerts as OCSF events too (ocsf.ndjson)')
    .option('--payloads', 'the bytes of each entry as a file of its own too')
    .option('--session <id>', 'one session')
    .option('--tenant <name>', 'tenant')
    .option('--since <time>', 'RFC 3339 time')
    .option('--until <time>', 'RFC 3339 time');
}

function formatOf(options: Options): 'binary' | 'ndjson' {
  const format = text(options, 'format') ?? 'ndjson';
  if (format === 'ndjson' || format === 'binary') return format;
  throw new TriplineError('usage', 'the format is ndjson or binary', { path: '--format' });
}

export function addErasure(program: Command, run: Run): void {
  const names = (options: Options) => ({
    principal: text(options, 'principal'),
    session: text(options, 'session'),
    tenant: text(options, 'tenant'),
    reason: text(options, 'reason') ?? '',
  });
  const eraseAction: Action = async (context, _operands, options) => {
    const { erase } = await import('../commands/erasure.ts');
    return await erase(context, names(options));
  };
  const addAction: Action = async (context, _operands, options) => {
    const { addHold } = await import('../commands/erasure.ts');
    await addHold(context, names(options));
  };
  const listAction: Action = async (context) => {
    const { listHolds } = await import('../commands/erasure.ts');
    await listHolds(context);
  };
  const releaseAction: Action = async (context, [id = ''], options) => {
    const { releaseHold } = await import('../commands/erasure.ts');
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

export function addKeys(program: Command, run: Run): void {
  const keys = program.command('keys').description('Agent keys: who vouches for events.').exitOverride();
  keys.configureOutput({ ...program.configureOutput() });
  const agent = keys.command('agent').description('The agent key of this host.').exitOverride();
  agent.configureOutput({ ...program.configureOutput() });
  const create: Action = async (context) => {
    const { createAgentKey } = await import('../commands/keys.ts');
    await createAgentKey(context);
  };
  define(agent, 'create', ['Makes the agent key of this host; taps sign with it from then on.', create], run);
  const register: Action = async (context, [key = ''], options) => {
    const { registerKey } = await import('../commands/keys.ts');
    await registerKey(context, key, { name: text(options, 'name') ?? '', tenant: text(options, 'tenant') });
  };
  define(keys, 'register <key>', ['Registers a public key (base64, or a file) for a tenant.', register], run)
    .requiredOption('--name <name>', 'whose key it is')
    .option('--tenant <name>', 'tenant');
  const rotate = keys.command('rotate').description('Replaces a key of the service.').exitOverride();
  rotate.configureOutput({ ...program.configureOutput() });
  const rotateAction: Action = async (context, _operands, options) => {
    const { rotateLog } = await import('../commands/keys.ts');
    await rotateLog(context, text(options, 'config'));
  };
  define(
    rotate,
    'log',
    ['Makes a new log key, signed in by the old one; the service must be stopped.', rotateAction],
    run,
  ).option('--config <file>', 'YAML configuration');
  const list: Action = async (context, _operands, options) => {
    const { listKeys } = await import('../commands/keys.ts');
    await listKeys(context, text(options, 'tenant'));
  };
  define(keys, 'list', ['Lists the agent keys of a tenant.', list], run).option('--tenant <name>', 'tenant');
  const revoke: Action = async (context, [id = ''], options) => {
    const { revokeKey } = await import('../commands/keys.ts');
    await revokeKey(context, id, { reason: text(options, 'reason') ?? '', tenant: text(options, 'tenant') });
  };
  define(keys, 'revoke <id>', ['Revokes an agent key: nothing that is appended later counts.', revoke], run)
    .requiredOption('--reason <text>', 'why; on record')
    .option('--tenant <name>', 'tenant');
}
