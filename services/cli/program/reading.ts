/** Commands that read what is on record, and what people find of alerts. */
import { type Command, Option } from 'commander';
import { DISPOSITIONS } from '../../../schemas/alert/disposition.ts';
import { parseCount } from '../command.ts';
import { FILTERS, type Action, type Run, define, withFilters, filtersOf, text } from './define.ts';

export function addReading(program: Command, run: Run): void {
  const listing = (name: 'sessions' | 'alerts' | 'controls', description: string): Command => {
    const action: Action = async (context, _operands, options) => {
      const { list } = await import('../commands/read.ts');
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
  define(
    ledger,
    'repair',
    [
      'Makes rows that the tables lost again from the bus, where the signed heads prove them; on record.',
      repairAction,
    ],
    run,
  )
    .option('--topic <name>', 'of this topic alone')
    .option('--partition <n>', 'of this partition alone')
    .option('--dry-run', 'says what can be repaired, and changes nothing')
    .requiredOption('--reason <text>', 'why; on record');
}

const tailAction: Action = async (context, _operands, options) => {
  const { tail } = await import('../commands/read.ts');
  const count = text(options, 'count');
  await tail(
    context,
    filtersOf(options),
    count === undefined ? Infinity : parseCount(count, '--count', [1, 1e9]),
  );
};

const sessionAction: Action = async (context, [id = ''], options) => {
  const { session } = await import('../commands/read.ts');
  await session(context, id, filtersOf(options));
};

const lossAction: Action = async (context, _operands, options) => {
  const { acceptLoss } = await import('../commands/accept-loss.ts');
  const [topic = '', reason = ''] = [text(options, 'topic'), text(options, 'reason')];
  const count = (name: string, most: number): number =>
    parseCount(text(options, name) ?? '', `--${name}`, [0, most]);
  const most = Number.MAX_SAFE_INTEGER;
  const offsets = { fromOffset: count('from', most), toOffset: count('to', most) };
  await acceptLoss(context, { topic, partition: count('partition', 65_535), ...offsets, reason });
};

const repairAction: Action = async (context, _operands, options) => {
  const { repairLedger } = await import('../commands/repair.ts');
  const partition = text(options, 'partition');
  return await repairLedger(context, {
    topic: text(options, 'topic'),
    partition: partition === undefined ? undefined : parseCount(partition, '--partition', [0, 65_535]),
    reason: text(options, 'reason') ?? '',
    dryRun: options['dryRun'] === true,
  });
};

const ledgerAction: Action = async (context, _operands, options) => {
  const { ledger } = await import('../commands/read.ts');
  await ledger(context, filtersOf(options));
};

export function addDisposition(program: Command, run: Run): void {
  const action: Action = async (context, [id = ''], options) => {
    const { setDisposition } = await import('../commands/disposition.ts');
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
