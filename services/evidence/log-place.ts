/** Where a fault is, as far as the rows of its index tell. */
import type { BundleRows, LedgerColumns } from './bundle.ts';

interface Place {
  readonly offset: number | null;
  readonly session: string | null;
}

/** Where the row itself is gone, its payload or projection may still tell the place, else the entry before it. */
export function placeOf(rows: BundleRows | undefined, before: LedgerColumns | undefined): Place {
  const fallback = before === undefined ? { offset: null, session: null } : placeOfRow(before);
  if (rows === undefined) return fallback;
  const [row] = rows.ledger;
  if (row !== undefined) return placeOfRow(row);
  const [payload] = rows.payloads;
  const session = rows.events[0]?.['session_id'];
  return {
    offset: payload === undefined ? fallback.offset : payload.offset,
    session: typeof session === 'string' ? session : fallback.session,
  };
}

function placeOfRow(row: LedgerColumns): Place {
  return { offset: row.offset, session: row.session_id };
}
