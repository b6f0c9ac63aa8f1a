/** Labels in `_meta` of a result (MCP: keys with a prefix that is a name of ours), for hosts that asked for them. */
import { objectMembers, type Member, type Span } from '../json-scan.ts';
import type { Splice } from '../trace-context.ts';

export const LABELS_META_KEY = 'io.tripline/labels';

/**
 * The splices that put `value` under our key. What a server wrote there itself is replaced: it must not speak in our
 * name. None where the result is no object, or its `_meta` none.
 */
export function resultMetaSplices(
  bytes: Uint8Array,
  result: Span,
  members: readonly Member[] | undefined,
  value: unknown,
): readonly Splice[] {
  if (members === undefined) return [];
  const text = JSON.stringify(value);
  const metas = members.filter(({ name }) => name === '_meta');
  if (metas.length === 0) {
    const at = bytes.indexOf(0x7b, result.start) + 1;
    return [
      {
        start: at,
        end: at,
        text: `"_meta":{"${LABELS_META_KEY}":${text}}${members.length === 0 ? '' : ','}`,
      },
    ];
  }
  // Peers differ on which twin counts.
  return metas.flatMap((meta) => intoMeta(bytes, meta, text));
}

function intoMeta(bytes: Uint8Array, meta: Span, text: string): readonly Splice[] {
  const members = objectMembers(bytes, meta);
  if (members === undefined) return [];
  const own = members.filter(({ name }) => name === LABELS_META_KEY);
  if (own.length > 0) return own.map(({ start, end }) => ({ start, end, text }));
  const at = bytes.indexOf(0x7b, meta.start) + 1;
  return [{ start: at, end: at, text: `"${LABELS_META_KEY}":${text}${members.length === 0 ? '' : ','}` }];
}
