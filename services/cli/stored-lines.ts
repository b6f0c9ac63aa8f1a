/** Lines of tool calls out of an export stream, log by log, as detection reads them. */
import { TOPICS } from '../../schemas/topics.ts';
import type { StoredLine } from '../detect/main.ts';
import type { BundleRows } from '../evidence/bundle.ts';
import { readBundle } from '../evidence/read-bundle.ts';

export type StoredPart =
  | { readonly type: 'log'; readonly tenant: string }
  | { readonly type: 'line'; readonly tenant: string; readonly line: StoredLine };

/** Throws export_invalid for what is no bundle. */
export async function* storedParts(source: AsyncIterable<Uint8Array>): AsyncGenerator<StoredPart> {
  let tenant: string | undefined;
  for await (const part of readBundle(source)) {
    if (part.type === 'log') {
      tenant = part.topic === TOPICS.toolcalls.name ? part.tenant : undefined;
      if (tenant !== undefined) yield { type: 'log', tenant };
    } else if (part.type === 'rows' && tenant !== undefined) {
      const line = lineOf(part);
      if (line !== undefined) yield { type: 'line', tenant, line };
    }
  }
}

/** Entries that hold no line (gaps) have no payload. */
function lineOf({ ledger: [entry], payloads: [payload] }: BundleRows): StoredLine | undefined {
  if (entry === undefined || payload === undefined) return undefined;
  const { partition, offset, line, append_ms: appendMs, stream_id: stream, seq } = entry;
  return { partition, offset, line, appendMs, stream, seq, bytes: Buffer.from(payload.bytes, 'base64') };
}

/** Query of the export route. */
export function exportQuery(filters: Readonly<Record<string, string | undefined>>): string {
  const wanted = ['tenant', 'session', 'since', 'until'].flatMap((name) => {
    const value = filters[name];
    return value === undefined ? [] : [[name, value] satisfies [string, string]];
  });
  return wanted.length === 0 ? '' : `?${new URLSearchParams(wanted).toString()}`;
}
