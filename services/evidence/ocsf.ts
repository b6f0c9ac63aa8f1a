/**
 * Tool calls and alerts of a bundle as OCSF events (1.9): API Activity 6003 with profile `ai_operation`, Detection Finding 2004. Profile
 * `record_integrity` chains the events of each log, over the OCSF form (RFC 8785); what ties one to the ledger stands in
 * `unmapped`: log, index and leaf hash, which the bundle proves. Bodies of calls are not in it.
 */
import type { BundleLine, BundleRows, LedgerColumns } from './bundle.ts';
import { toHex, utf8, type Sha256 } from './bytes.ts';

export const OCSF_VERSION = '1.9.0';

type Json =
  null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };
type Columns = Readonly<Record<string, unknown>>;

/** RFC 8785: names in the order of their UTF-16 code units, numbers and strings as ECMAScript writes them. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null)
    return JSON.stringify(typeof value === 'string' ? wellFormed(value) : value);
  const fields = Object.entries(value as { readonly [name: string]: Json | undefined })
    .filter((field): field is [string, Json] => field[1] !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => `${JSON.stringify(wellFormed(name))}:${canonicalJson(inner)}`);
  return `{${fields.join(',')}}`;
}

/** Half characters are no Unicode, which RFC 8785 asks for. */
const wellFormed = (text: string): string => text.replace(/\p{Cs}/gu, '\uFFFD');

/** Text of a column, absent where it is empty. */
const textOf = (row: Columns, column: string): string | undefined => {
  const value = row[column];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

const ACTIVITIES: Readonly<Record<string, number>> = {
  search: 2,
  web_read: 2,
  secret_read: 2,
  file_read: 2,
  memory_read: 2,
  file_write: 3,
  memory_write: 3,
  external_post: 1,
  message: 1,
  payment: 1,
  publish: 1,
  delete: 4,
};
const UNKNOWN = 0;
const OTHER = 99;
const STATUS: Readonly<Record<string, number>> = { ok: 1 };
const SEVERITIES: Readonly<Record<string, number>> = {
  informational: 1,
  low: 2,
  medium: 3,
  high: 4,
  critical: 5,
};

interface Previous {
  readonly uid: string;
  readonly typeUid: number;
  readonly fingerprint: string;
}

interface Place {
  readonly row: LedgerColumns;
  readonly idx: number;
  readonly log: string;
}

export class OcsfEvents {
  readonly #sha256: Sha256;
  readonly #previous = new Map<string, Previous>();
  #authority: string | undefined;
  #log = '';

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /** The events of the next line, each as one line of JSON. What is no tool call or alert gives none. */
  *take(line: BundleLine): Generator<string> {
    if (line.type === 'header') this.#authority = line.keys[0]?.keyId;
    if (line.type === 'log') this.#log = line.logId;
    if (line.type === 'rows') yield* this.#rows(line);
  }

  *#rows({ idx, ledger, events, alerts }: BundleRows): Generator<string> {
    const [row] = ledger;
    if (row === undefined) return;
    const place = { row, idx, log: this.#log };
    const [event] = events;
    const [alert] = alerts;
    if (event !== undefined && isCall(event)) yield this.#attested(apiActivity(event, place), place);
    if (alert !== undefined) yield this.#attested(finding(alert, place), place);
  }

  #attested(
    event: { readonly type_uid: number; readonly [name: string]: Json },
    { idx, log }: Place,
  ): string {
    const uid = `${log}/${idx}`;
    const before = this.#previous.get(log);
    const attestation = {
      uid,
      ...(this.#authority === undefined ? {} : { authority_uid: this.#authority }),
      chain_uid: log,
      ...(before === undefined ? {} : { prev_event: reference(before) }),
    };
    const bytes = utf8(canonicalJson({ ...event, attestation_list: [attestation] }));
    const fingerprint = toHex(this.#sha256(bytes));
    this.#previous.set(log, { uid, typeUid: event.type_uid, fingerprint });
    return canonicalJson({
      ...event,
      attestation_list: [{ ...attestation, fingerprint: sha256Of(fingerprint) }],
    });
  }
}

const isCall = (event: Columns): boolean =>
  event['kind'] === 'call.intent' || event['kind'] === 'call.result';

const reference = ({ uid, typeUid, fingerprint }: Previous): Json => ({
  uid,
  type_uid: typeUid,
  fingerprint: sha256Of(fingerprint),
});

const sha256Of = (value: string): Json => ({
  algorithm: 'SHA-256',
  algorithm_id: 3,
  encoding_id: 1,
  serialization_id: 2,
  value,
});

function metadata({ row, idx, log }: Place, profiles: readonly string[]): Json {
  return {
    version: OCSF_VERSION,
    product: { name: 'Tripline', vendor_name: 'Tripline' },
    profiles: [...profiles, 'record_integrity'],
    uid: `${log}/${idx}`,
    log_name: `${row.topic}/${row.partition}`,
    sequence: idx,
    logged_time: row.append_ms,
    tenant_uid: row.tenant,
  };
}

const ledgerOf = ({ row, idx, log }: Place): { readonly [name: string]: Json } => ({
  log_id: log,
  index: idx,
  leaf_hash: row.leaf_hash,
  event_id: `${row.stream_id}-${row.seq}`,
});

function apiActivity(event: Columns, place: Place) {
  const activity = ACTIVITIES[textOf(event, 'class') ?? ''] ?? OTHER;
  const named = (column: string): string => textOf(event, column) ?? 'unknown';
  const agent = named('agent');
  const trace = textOf(event, 'trace_id');
  return {
    activity_id: activity,
    // 99 says nothing by itself.
    ...(activity === OTHER ? { activity_name: named('class') } : {}),
    category_uid: 6,
    class_uid: 6003,
    type_uid: 600_300 + activity,
    severity_id: 1,
    ...statusOf(textOf(event, 'outcome')),
    time: Number(event['event_time']),
    metadata: metadata(place, trace === undefined ? ['ai_operation'] : ['ai_operation', 'trace']),
    actor: { app_name: agent, session: { uid: place.row.session_id }, ...userOf(event) },
    // Which framework it was built with is not on record.
    ai_agent: { name: agent, uid: agent, instance_uid: place.row.session_id, type_id: UNKNOWN },
    api: {
      operation: textOf(event, 'tool') ?? textOf(event, 'method') ?? 'unknown',
      service: { name: named('server') },
      ...requestOf(event),
    },
    src_endpoint: { name: textOf(event, 'host') ?? agent },
    ...destinationOf(event),
    ...(trace === undefined ? {} : { trace: { uid: trace } }),
    unmapped: { ...ledgerOf(place), kind: String(event['kind']), class: String(event['class']) },
  };
}

function statusOf(outcome: string | undefined): { readonly [name: string]: Json } {
  if (outcome === undefined) return { status_id: UNKNOWN };
  return { status_id: STATUS[outcome] ?? 2, status_detail: outcome };
}

function userOf(event: Columns): { readonly [name: string]: Json } {
  const name = textOf(event, 'principal');
  return name === undefined ? {} : { user: { name } };
}

function requestOf(event: Columns): { readonly [name: string]: Json } {
  const uid = textOf(event, 'call_id');
  return uid === undefined ? {} : { request: { uid } };
}

function destinationOf(event: Columns): { readonly [name: string]: Json } {
  const hostname = textOf(event, 'dest_host');
  return hostname === undefined ? {} : { dst_endpoint: { hostname } };
}

function finding(alert: Columns, place: Place) {
  const named = textOf(alert, 'rule_id') ?? 'unknown';
  const version = textOf(alert, 'rule_hash');
  return {
    activity_id: 1,
    category_uid: 2,
    class_uid: 2004,
    type_uid: 200_401,
    severity_id: SEVERITIES[textOf(alert, 'level') ?? ''] ?? UNKNOWN,
    status_id: 1,
    is_alert: true,
    time: Number(alert['effective_time']),
    metadata: metadata(place, []),
    finding_info: {
      uid: textOf(alert, 'alert_id') ?? `${place.log}/${place.idx}`,
      title: textOf(alert, 'title') ?? named,
      analytic: {
        uid: named,
        type_id: 1,
        ...(version === undefined ? {} : { version }),
      },
    },
    unmapped: { ...ledgerOf(place), session: place.row.session_id },
  };
}
