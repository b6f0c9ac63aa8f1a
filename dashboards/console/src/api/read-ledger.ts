/** GET /v1/ledger → one row a log: its newest signed head, what its entries are, and how far its partition is behind. */
import { count, fieldsOf, inner, list, text, time, type Fields } from './fields.ts';
import type { Ledger, LedgerLog } from './types.ts';

/** Entry types that say something about completeness, beside plain events. */
const FINDINGS: readonly string[] = ['gap', 'late', 'equivocation', 'dead_letter'];

export function readLedger(data: unknown): Ledger {
  const found = fieldsOf(data);
  const partitions = list(found, 'partitions').map(fieldsOf);
  const logs = new Map<string, LedgerLog>();
  for (const entry of list(found, 'coverage')) {
    const log = readCovered(fieldsOf(entry));
    logs.set(log.logId, log);
  }
  for (const batch of list(found, 'heads').map(fieldsOf))
    for (const head of list(batch, 'heads').map(fieldsOf)) takeHead(logs, batch, head);
  const lags = partitions.map((partition) => count(partition, 'lag') ?? 0);
  return {
    logs: [...logs.values()].map((log) => ({ ...log, lag: lagOf(log, partitions) })).toSorted(byPlace),
    lag: lags.length === 0 ? null : lags.reduce((sum, lag) => sum + lag, 0),
    keyIds: list(found, 'keys').map((key) => text(fieldsOf(key), 'keyId')),
  };
}

function readCovered(entry: Fields): LedgerLog {
  const entries = inner(entry, 'entries') ?? {};
  const amounts = Object.keys(entries).map((type) => [type, count(entries, type) ?? 0] as const);
  return {
    logId: text(entry, 'logId'),
    tenant: text(entry, 'tenant'),
    topic: text(entry, 'topic'),
    partition: count(entry, 'partition') ?? 0,
    entries: amounts.reduce((sum, [, amount]) => sum + amount, 0),
    findings: amounts
      .filter(([type]) => FINDINGS.includes(type))
      .map(([type, amount]) => `${amount} ${type}`)
      .join(', '),
    size: 0,
    root: '',
    signedAt: '',
    lag: null,
  };
}

/** A log stands in every batch that touched it: the longest head counts. */
function takeHead(logs: Map<string, LedgerLog>, batch: Fields, head: Fields): void {
  const logId = text(head, 'logId');
  const known =
    logs.get(logId) ?? readCovered({ logId, topic: batch['topic'], partition: batch['partition'] });
  const size = count(head, 'size') ?? 0;
  if (size < known.size) return;
  logs.set(logId, {
    ...known,
    size,
    root: text(head, 'root'),
    signedAt: time(batch, 'signedAtMs', 'signedAt'),
  });
}

function lagOf(log: LedgerLog, partitions: readonly Fields[]): number | null {
  const place = partitions.find(
    (item) => text(item, 'topic') === log.topic && count(item, 'partition') === log.partition,
  );
  return place === undefined ? null : count(place, 'lag');
}

function byPlace(a: LedgerLog, b: LedgerLog): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  if (a.partition !== b.partition) return a.partition - b.partition;
  return a.tenant < b.tenant ? -1 : 1;
}
