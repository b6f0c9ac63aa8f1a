/** ERASURE entries as audit events: who, why, and exactly which entries. Pure. */
import type { AuditBody, ErasureBody } from '../../../schemas/audit/v1.ts';
import { parseRanges, formatRanges } from '../../evidence/index-ranges.ts';
import type { Intent } from './intents.ts';

/** Indexes of one line, characters: a record holds 768 KiB. */
const MAX_CHARACTERS = 200_000;
const RANGES_A_PART = 8_000;

/** One body, or several where the lists are long. They name no subject. */
export function erasureBodies(intent: Intent): AuditBody[] {
  const { id, by, actor, role, reason } = intent;
  const parts = cut(intent.logs);
  return parts.map((logs) => ({
    action: 'erasure',
    actor,
    role,
    target: id,
    reason,
    outcome: 'ok',
    erasure: { id, by, logs: [...logs] },
  }));
}

function* pieces(logs: Intent['logs']): Generator<ErasureBody['logs'][number]> {
  for (const { log, indexes } of logs) {
    const ranges = parseRanges(indexes) ?? [];
    for (let from = 0; from < ranges.length; from += RANGES_A_PART)
      yield { log, indexes: formatRanges(ranges.slice(from, from + RANGES_A_PART)) };
  }
}

function cut(logs: Intent['logs']): (readonly ErasureBody['logs'][number][])[] {
  const parts: ErasureBody['logs'][number][][] = [];
  let characters = Infinity;
  for (const piece of pieces(logs)) {
    const size = piece.indexes.length + piece.log.length;
    if (characters + size > MAX_CHARACTERS) {
      parts.push([]);
      characters = 0;
    }
    parts.at(-1)?.push(piece);
    characters += size;
  }
  return parts;
}
