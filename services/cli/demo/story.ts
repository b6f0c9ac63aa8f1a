/** The demo's words: what a person reads in the terminal. Pure: takes facts, returns lines. */
import pc from 'picocolors';
import { visible } from '../output.ts';

type Item = Readonly<Record<string, unknown>>;
const field = (item: Item, name: string): string => {
  const value = item[name];
  return value === undefined || value === null
    ? ''
    : visible(typeof value === 'string' ? value : JSON.stringify(value), 60);
};

const CLASS_COLOUR: Readonly<Record<string, (text: string) => string>> = {
  search: pc.cyan,
  secret_read: pc.yellow,
  external_post: pc.magenta,
};

const QUOTE_COLUMNS = 62;
const TITLE_COLUMNS = 52;

/** Everything fits into 80 columns. */
export function chapter(number: number, title: string): string {
  return `\n${pc.bold(pc.inverse(` ${number} `))} ${pc.bold(title)}`;
}

export function fact(label: string, text: string): string {
  return `    ${pc.dim(label.padEnd(11))} ${text}`;
}

/** One event of the tail; empty for kinds that tell a viewer nothing. */
export function eventLine(event: Item): string {
  const time = pc.dim(field(event, 'time').slice(11, 23));
  const place = `${field(event, 'server')} › ${field(event, 'tool')}`.padEnd(20);
  const toolClass = field(event, 'class');
  const badge = (CLASS_COLOUR[toolClass] ?? pc.dim)(toolClass.padEnd(13));
  switch (field(event, 'kind')) {
    case 'call.intent':
      return `    ${time}  ${pc.bold('→')} ${place} ${badge} ${pc.dim(field(event, 'destHost'))}`;
    case 'call.result': {
      const outcome = field(event, 'outcome');
      const mark = outcome === 'ok' ? pc.green('✓ ok') : pc.red(`✗ ${outcome}`);
      return `    ${time}  ${pc.bold('←')} ${place} ${badge} ${mark}`;
    }
    default:
      return '';
  }
}

/** The instruction that the search result holds, as the agent read it. */
export function instructionLines(turned: Item): readonly string[] {
  const words = visible(String(turned['instruction']), 400).split(/ |\\u\{a\}/);
  const lines = words.reduce<string[]>((done, word) => {
    const last = done.at(-1);
    if (last === undefined || last.length + word.length >= QUOTE_COLUMNS) return [...done, word];
    return [...done.slice(0, -1), `${last} ${word}`];
  }, []);
  return lines.map((line, index) => fact(index === 0 ? 'page says' : '', pc.yellow(line)));
}

export function alertLines(alert: Item): readonly string[] {
  const calls = Array.isArray(alert['calls']) ? (alert['calls'] as Item[]) : [];
  const chain = calls.map((call, index) =>
    fact(
      index === 0 ? 'chain' : pc.red('        ──▶'),
      `${pc.bold(field(call, 'tool').padEnd(12))} ${pc.dim(field(call, 'class'))}`,
    ),
  );
  return [
    `    ${pc.bgRed(pc.white(pc.bold(` ALERT ${field(alert, 'level')} `)))} ${pc.bold(field(alert, 'title'))}`,
    fact('rule', field(alert, 'ruleId')),
    ...chain,
    fact('alert id', pc.dim(field(alert, 'id') || field(alert, 'alertId'))),
  ];
}

export function refusedLines(what: string, data: Item): readonly string[] {
  return [
    `    ${pc.bgGreen(pc.black(pc.bold(' REFUSED ')))} ${what} never reached the server`,
    fact('control', pc.dim(field(data, 'controlId'))),
    fact('scope', `${field(data, 'scope')}, ${field(data, 'mode')}, until ${field(data, 'expiresAt')}`),
    fact('reason', field(data, 'reason')),
  ];
}

export function verdictLines(report: Item): readonly string[] {
  const verdict = field(report, 'verdict');
  const good = verdict.startsWith('verified');
  return [
    `    ${(good ? pc.bgGreen : pc.bgRed)(pc.black(pc.bold(` ${verdict.toUpperCase()} `)))} ${field(report, 'entries')} entries in ${Array.isArray(report['logs']) ? report['logs'].length : 0} logs`,
    fact('agree', 'chain, tree, signed heads, exact bytes, projection'),
  ];
}

export function checklist(done: readonly (readonly [what: string, ok: boolean])[]): readonly string[] {
  return done.map(([what, ok]) => `    ${ok ? pc.green('✓') : pc.red('✗')} ${what}`);
}

/** Other rules that saw something in the same run, by name. */
export function otherAlertLines(alerts: readonly Item[], shown: string): readonly string[] {
  const others = alerts.filter((alert) => field(alert, 'ruleId') !== shown);
  return others.map((alert) =>
    fact(
      'also told',
      `${field(alert, 'level').padEnd(8)}  ${visible(String(alert['title']), TITLE_COLUMNS)}`,
    ),
  );
}

/** `waitedMs` ascending. */
export function holdCostLines(waitedMs: readonly number[], free: number): readonly string[] {
  const at = (quantile: number): string =>
    (waitedMs[Math.min(waitedMs.length - 1, Math.floor(quantile * waitedMs.length))] ?? Number.NaN).toFixed(
      1,
    );
  return [
    fact('time added', `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms to ${waitedMs.length} posts that waited`),
    fact('', `none to ${free} other calls`),
  ];
}
