/** What a command writes, and how it ends. With --json: one object a line on stdout, everything else on stderr. */
import { TriplineError, type ErrorCode } from '../../schemas/errors.ts';

export { visible } from '../evidence/visible.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3, denied: 4 } as const;

/** The process around a command, as an argument: tests pass their own. */
export interface CommandIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly isTerminal: boolean;
  /** Aborted by SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Calls `act` at each SIGHUP from now on; without a call, or where this is absent, SIGHUP keeps its own meaning. */
  readonly onHangup?: (act: () => void) => void;
}

const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'usage',
  'config_invalid',
  'policy_invalid',
  'rule_invalid',
  'request_invalid',
  'control_invalid',
  'approval_invalid',
  'host_policy_invalid',
  'redaction_invalid',
  'export_invalid',
]);
const DENIED_CODES: ReadonlySet<ErrorCode> = new Set(['auth_missing', 'auth_invalid', 'auth_forbidden']);

/** Exit code of a failure: 2 usage or configuration, 3 unreachable, 4 denied, else 1. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof TriplineError)) return EXIT.failed;
  if (USAGE_CODES.has(error.code)) return EXIT.usage;
  if (DENIED_CODES.has(error.code)) return EXIT.denied;
  return error.code === 'unreachable' ? EXIT.unreachable : EXIT.failed;
}

export class Output {
  readonly #io: CommandIo;
  readonly json: boolean;

  constructor(io: CommandIo, json: boolean) {
    this.#io = io;
    this.json = json;
  }

  /** One result: an object line with --json, else the text (a function, so that it is only made when needed). */
  item(value: unknown, text: () => string): void {
    this.#io.out(this.json ? `${JSON.stringify(value)}\n` : `${text()}\n`);
  }

  /** Only for people. */
  text(line: string): void {
    if (!this.json) this.#io.out(`${line}\n`);
  }

  /** Progress and notices: always stderr. */
  note(line: string): void {
    this.#io.err(`${line}\n`);
  }

  fail(error: unknown): number {
    const code = error instanceof TriplineError ? error.code : 'internal';
    const message = error instanceof Error ? error.message : String(error);
    const path = error instanceof TriplineError ? error.path : undefined;
    if (this.json)
      this.#io.err(
        `${JSON.stringify({ error: { code, message, ...(path === undefined ? {} : { path }) } })}\n`,
      );
    else {
      const named = path === undefined || message.includes(path) ? message : `${path}: ${message}`;
      this.#io.err(`tripline: ${named}${code === 'internal' ? '' : ` [${code}]`}\n`);
    }
    return exitCodeOf(error);
  }
}

/** Columns of equal width, for people. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n');
}
