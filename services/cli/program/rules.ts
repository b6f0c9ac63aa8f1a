/** Commands about rules, also those of other languages, and backtests. */
import { type Command, Option } from 'commander';
import { TriplineError } from '../../../schemas/errors.ts';
import { type Action, type Run, define, filtersOf, text, texts } from './define.ts';

export function addRules(program: Command, run: Run): void {
  const rules = program.command('rules').description('Tests and tries detection rules.').exitOverride();
  rules.configureOutput({ ...program.configureOutput() });
  const testAction: Action = async (context, files) => {
    const { testRules } = await import('../commands/rules.ts');
    return await testRules(context, files);
  };
  define(
    rules,
    'test [files...]',
    ['Runs the tests inside rules (the shipped ones by default).', testAction],
    run,
  );
  const lintAction: Action = async (context, files, options) => {
    const { lintRules } = await import('../commands/rules-lint.ts');
    return await lintRules(context, files, { strict: options['strict'] === true });
  };
  define(
    rules,
    'lint [files...]',
    ['Checks rule files, and says what each rule costs and what in it is hardly meant.', lintAction],
    run,
  ).option('--strict', 'warnings fail too');
  const explainAction: Action = async (context, [rule = ''], options) => {
    const { explain } = await import('../commands/rules-explain.ts');
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
    const { reloadRules } = await import('../commands/rules-reload.ts');
    return await reloadRules(context);
  };
  define(
    rules,
    'reload',
    ['The running service reads its rules again, as an audited change (role admin).', reloadAction],
    run,
  );
  const newAction: Action = async (context, [id = '']) => {
    const { newRule } = await import('../commands/rules.ts');
    newRule(context, id);
  };
  define(rules, 'new <id>', ['Prints a rule to start from, with tests.', newAction], run);
  addRuleImports(rules, run);
}

function addRuleImports(rules: Command, run: Run): void {
  const importAction: Action = async (context, _operands, options) => {
    if (options['eql'] !== undefined || options['eqlFile'] !== undefined)
      return await importEqlAction(context, [], options);
    const { importRules } = await import('../commands/rules-import.ts');
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
    const { matchRule } = await import('../commands/rules.ts');
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
  const { matchEqlQuery } = await import('../commands/rules-eql.ts');
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
  const { importEqlQuery } = await import('../commands/rules-eql.ts');
  return await importEqlQuery(context, {
    query: text(options, 'eql'),
    file: text(options, 'eqlFile'),
    id: text(options, 'id') ?? 'imported.eql',
  });
};

export function addBacktest(program: Command, run: Run): void {
  const action: Action = async (context, [rule = ''], options) => {
    const { backtest } = await import('../commands/backtest.ts');
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
