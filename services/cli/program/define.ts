/** How a command of the command line is made, and how its options are read. */
import type { Command } from 'commander';
import { parseCount, type CommandContext } from '../command.ts';

export const FILTERS = ['tenant', 'session', 'agent', 'server', 'tool', 'class', 'since', 'until'] as const;

export type Options = Readonly<Record<string, unknown>>;

export type Action = (
  context: CommandContext,
  operands: readonly string[],
  options: Options,
) => Promise<number | void>;

export type Run = (action: Action, operands: readonly string[], options: Options) => Promise<void>;

/** A subcommand with --json, whose action gets operands and options. */
export function define(
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

export function withFilters(command: Command, names: readonly (typeof FILTERS)[number][] = FILTERS): Command {
  for (const name of names)
    command.option(
      `--${name} <value>`,
      name === 'since' || name === 'until' ? 'RFC 3339 time' : 'exact match',
    );
  return command;
}

export function filtersOf(options: Options): Readonly<Record<string, string | undefined>> {
  const names = [...FILTERS, 'event', 'limit', 'kind', 'rule', 'level', 'disposition'];
  return Object.fromEntries(
    names.map((name) => [name, typeof options[name] === 'string' ? options[name] : undefined]),
  );
}

export const text = (options: Options, name: string): string | undefined =>
  typeof options[name] === 'string' ? options[name] : undefined;

/** A whole number in the range, where the option is given. Throws usage. */
export function countOf(
  options: Options,
  name: string,
  range: readonly [number, number],
): number | undefined {
  const value = text(options, name);
  return value === undefined ? undefined : parseCount(value, `--${name}`, range);
}

/** Values of an option that may be given several. */
export function texts(options: Options, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
