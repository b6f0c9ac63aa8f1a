/** Query parameters as SET statements: the value in ClickHouse's escaped text form, inside a quoted literal. */
import { TriplineError } from '../../../../schemas/errors.ts';
import type { SqlParameter } from '../port.ts';
import type { Params } from './protocol.ts';

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
/** https://clickhouse.com/docs/interfaces/formats/TabSeparated: what must be escaped in text. */
const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\0': '\\0',
  '\b': '\\b',
  '\f': '\\f',
};

/** `SET param_x = '…'; SET param_y = '…'`, empty without parameters. Names are ours, and checked all the same. */
export function setStatements(params: Params): string {
  return Object.entries(params)
    .map(([name, value]) => {
      if (!NAME.test(name)) throw new TriplineError('store_query_failed', 'not a parameter name');
      return `SET param_${name} = ${quoted(textForm(value))}`;
    })
    .join('; ');
}

function textForm(value: SqlParameter): string {
  if (value === null) return '\\N';
  if (typeof value === 'string') return escaped(value);
  if (typeof value === 'object') return `[${value.map(element).join(',')}]`;
  return String(value);
}

/** Inside an array text is quoted, and escaped by the rules of a literal. */
function element(value: string | number | bigint): string {
  return typeof value === 'string' ? `'${escaped(value).replaceAll("'", "\\'")}'` : String(value);
}

function escaped(value: string): string {
  // eslint-disable-next-line no-control-regex -- NUL and backspace are among what is escaped.
  return value.replace(/[\\\t\n\r\0\x08\f]/g, (character) => ESCAPES[character] ?? character);
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
