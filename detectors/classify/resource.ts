/**
 * Class of a read that is no tool call: resources/read names a URI, and its scheme says what is read (RFC 3986 §3.1).
 * A scheme that nobody knows is a server's own: something is read all the same. The URI is attacker-controlled.
 */
import type { ToolClass } from '../../schemas/event/v1.ts';

const READS: ReadonlySet<string> = new Set(['resources/read', 'resources/subscribe']);

const BY_SCHEME: ReadonlyMap<string, ToolClass> = new Map([
  ...['http', 'https', 'ftp', 'ws', 'wss'].map((scheme) => [scheme, 'web_read'] as const),
  ...['vault', 'secret', 'secrets', 'op', 'keychain', 'keyring', 'credential', 'credentials'].map(
    (scheme) => [scheme, 'secret_read'] as const,
  ),
  ...['postgres', 'postgresql', 'mysql', 'sqlite', 'mongodb', 'redis', 'clickhouse', 'bigquery', 'jdbc'].map(
    (scheme) => [scheme, 'database'] as const,
  ),
  ...['memory', 'memo'].map((scheme) => [scheme, 'memory_read'] as const),
]);

const SCHEME = /^([a-z][a-z0-9+.-]{0,62}):/iu;

/** undefined where the method reads nothing. */
export function classByResource(method: string, uri: string | undefined): ToolClass | undefined {
  if (!READS.has(method)) return undefined;
  const scheme = SCHEME.exec(uri ?? '')?.[1]?.toLowerCase();
  return BY_SCHEME.get(scheme ?? '') ?? 'file_read';
}
