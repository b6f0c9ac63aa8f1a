/** A table whose rows are walked with the arrow keys: one tab stop, Enter opens, Home and End jump. */
import { useRef, type KeyboardEvent, type ReactNode } from 'react';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ReactNode;
  /** `narrow` columns go away on small screens; `number` ones are right-aligned. */
  readonly kind?: 'narrow' | 'number';
}

interface GridProps<Row> {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string | number;
  readonly onOpen?: (row: Row) => void;
  readonly rowClass?: (row: Row) => string;
}

const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };

export function Grid<Row>({ label, columns, rows, keyOf, onOpen, rowClass }: GridProps<Row>): ReactNode {
  const body = useRef<HTMLTableSectionElement>(null);
  const onKeyDown = (event: KeyboardEvent, row: Row): void => {
    if (event.target !== event.currentTarget) return; // a button inside the row has its own keys
    if (event.key === 'Enter' && onOpen !== undefined) {
      event.preventDefault();
      onOpen(row);
      return;
    }
    moveFocus(event, body.current);
  };
  return (
    <div className="grid-frame">
      <table role="grid" aria-label={label} aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" className={column.kind ?? ''}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {rows.map((row, index) => (
            <tr
              key={keyOf(row)}
              tabIndex={index === 0 ? 0 : -1}
              className={`${rowClass?.(row) ?? ''} ${onOpen === undefined ? '' : 'opens'}`}
              onKeyDown={(event) => onKeyDown(event, row)}
              onFocus={(event) => rove(event.currentTarget, body.current)}
              onClick={() => onOpen?.(row)}
            >
              {columns.map((column) => (
                <td key={column.title} className={column.kind ?? ''} data-title={column.title}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function moveFocus(event: KeyboardEvent, body: HTMLTableSectionElement | null): void {
  if (body === null || !(event.currentTarget instanceof HTMLTableRowElement)) return;
  const rows = [...body.rows];
  const at = rows.indexOf(event.currentTarget);
  const target = targetOf(event.key, at, rows.length - 1);
  if (target === undefined) return;
  event.preventDefault();
  rows[Math.max(0, Math.min(rows.length - 1, target))]?.focus();
}

function targetOf(key: string, at: number, last: number): number | undefined {
  if (key === 'Home') return 0;
  if (key === 'End') return last;
  const step = STEPS[key];
  return step === undefined ? undefined : at + step;
}

/** The row with the focus is the table's tab stop, so that Tab leaves and comes back to it. */
function rove(row: HTMLTableRowElement, body: HTMLTableSectionElement | null): void {
  for (const other of body?.rows ?? []) other.tabIndex = other === row ? 0 : -1;
}
