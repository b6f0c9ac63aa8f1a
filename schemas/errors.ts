/**
 * The one table of error codes. Every failure that leaves a module carries one of these codes; nothing is ever told
 * apart by its message text. `retryable` says whether sending the same thing again can succeed; `operator` says what a
 * person does about it. docs and code are held to this table by test/architecture/errors.test.ts.
 */
export interface ErrorEntry {
  readonly meaning: string;
  readonly retryable: boolean;
  /** HTTP status with which the API answers it. */
  readonly status: number;
  readonly operator: string;
}

const entry = (meaning: string, retryable: boolean, status: number, operator: string): ErrorEntry =>
  Object.freeze({ meaning, retryable, status, operator });

export const ERRORS = {
  // Events at the door
  event_malformed_json: entry(
    'The line is not valid JSON.',
    false,
    400,
    'Mend the producer; the bytes are in dead_letters.',
  ),
  event_not_object: entry(
    'The line is JSON but no object.',
    false,
    400,
    'Mend the producer; the bytes are in dead_letters.',
  ),
  event_duplicate_key: entry(
    'An object in the line names a key twice.',
    false,
    400,
    'Mend the producer; readers would disagree on its meaning.',
  ),
  event_too_deep: entry(
    'The line nests deeper than the limit.',
    false,
    400,
    'Mend the producer or send the body as call.body parts.',
  ),
  event_too_large: entry(
    'The line is longer than the limit.',
    false,
    413,
    'Send long bodies as call.body parts.',
  ),
  event_invalid: entry(
    'A field is missing or has the wrong form.',
    false,
    400,
    'Mend the field that `path` names.',
  ),
  event_forbidden_field: entry(
    'The line holds a field that only the service may set.',
    false,
    400,
    'Remove the field that `path` names.',
  ),
  event_unknown_field: entry(
    'A strict producer sent a field that is not in the schema.',
    false,
    400,
    'Remove the field, or make the producer lenient.',
  ),
  event_stream_conflict: entry(
    'The lines of one record disagree in stream, session or sequence.',
    false,
    400,
    'Send the lines of a stream in order of seq.',
  ),
  // HTTP door
  body_empty: entry('The request has no event.', false, 400, 'Send at least one event.'),
  body_too_large: entry('The request body is over the limit.', false, 413, 'Send smaller batches.'),
  body_unsupported_type: entry(
    'The content type or encoding is not supported.',
    false,
    415,
    'Use application/json or application/x-ndjson, plain or gzip.',
  ),
  body_malformed: entry('The request body cannot be decoded.', false, 400, 'Mend the client.'),
  request_invalid: entry(
    'A parameter or field of the request is wrong.',
    false,
    400,
    'Mend what `path` names.',
  ),
  auth_missing: entry('No bearer token was sent.', false, 401, 'Send Authorization: Bearer TOKEN.'),
  auth_invalid: entry('The token is not known.', false, 401, 'Use a token that the service knows.'),
  auth_forbidden: entry(
    'The role or tenant of the token does not allow this.',
    false,
    403,
    'Use a token with the role that the route asks for.',
  ),
  rate_limited: entry(
    'Too many requests.',
    true,
    429,
    'Slow down; raise http.rateLimitPerMinute if this is expected.',
  ),
  not_found: entry('There is no such thing, or it is not yours.', false, 404, 'Check the id and the tenant.'),
  legal_hold: entry(
    'A legal hold keeps what would be erased.',
    false,
    409,
    'See `tripline hold list`; release the hold, or leave it as it is.',
  ),
  erasure_under_way: entry(
    'An erasure is at work: rows that come back meanwhile could escape it.',
    true,
    409,
    'Repair once it is finished; see the log where one waits.',
  ),
  conflict: entry('The thing exists in another state.', false, 409, 'Read it again and decide.'),
  not_ready: entry(
    'The service is starting or stopping.',
    true,
    503,
    'Retry; see /readyz for what is missing.',
  ),
  internal: entry('A fault inside the service.', true, 500, 'Look at the log entry with this request id.'),
  // Bus
  bus_unavailable: entry(
    'The bus cannot be reached; the outcome of the last send is unknown.',
    true,
    503,
    'Check the brokers; sends are repeated by themselves.',
  ),
  bus_backpressure: entry('The queue to the bus is full.', true, 503, 'Wait; check the brokers.'),
  bus_record_too_large: entry('A record is over the topic limit.', false, 413, 'Lower the batch size.'),
  bus_partition_mismatch: entry(
    'A topic has another partition count than the one written down.',
    false,
    500,
    'Use the old count, or a new topic generation.',
  ),
  bus_offset_lost: entry(
    'Records that were not read yet are gone from the bus.',
    false,
    500,
    'Evidence is missing: keep everything and find out why.',
  ),
  bus_stale: entry(
    'This consumer no longer owns the partition.',
    true,
    503,
    'Nothing: the new owner goes on.',
  ),
  bus_closed: entry('The bus was closed.', false, 503, 'Start the service again.'),
  bus_failed: entry(
    'The bus refused the operation.',
    false,
    500,
    'Read the log entry; check topic settings and rights.',
  ),
  record_headers_invalid: entry(
    'The headers of a bus record are missing or malformed.',
    false,
    400,
    'Find who writes to the topic beside ingest; the record is entered as a dead letter.',
  ),
  // Store
  store_unavailable: entry(
    'ClickHouse cannot be reached or the embedded engine died.',
    true,
    503,
    'Check ClickHouse; writes are repeated after reading back.',
  ),
  store_query_failed: entry(
    'ClickHouse refused the statement.',
    false,
    500,
    'Read the ClickHouse code in the log entry.',
  ),
  store_timeout: entry(
    'A statement took longer than its limit.',
    true,
    503,
    'Narrow the query or raise the limit.',
  ),
  store_migration_changed: entry(
    'A migration that has run differs from the file.',
    false,
    500,
    'Restore the file; migrations are append-only.',
  ),
  store_optional_missing: entry(
    'The embedded engine (package chdb) is not installed.',
    false,
    500,
    'npm install chdb, or configure store.kind: clickhouse.',
  ),
  // Ledger
  ledger_behind_head: entry(
    'The store holds fewer entries than the signed head.',
    false,
    500,
    'Tampering or loss: keep everything; nothing is signed until it is explained. `tripline ledger repair --dry-run` says what the bus still holds.',
  ),
  ledger_diverges: entry(
    'Rows read back differ from what was computed.',
    false,
    500,
    'Tampering or a second writer: keep everything, and run `tripline verify`. Rows that are missing: `tripline ledger repair`; rows that were altered are never replaced.',
  ),
  ledger_reserved: entry(
    'Another writer holds the reservation of this partition.',
    true,
    503,
    'Nothing: it is taken over when it expires.',
  ),
  signer_refused: entry(
    'The signer refuses a head that does not extend what it signed last.',
    false,
    500,
    'Keep everything; run tripline verify.',
  ),
  copy_refused: entry(
    'The place of the second copy of the root log refused a file.',
    true,
    502,
    'Look at the rights of the key (s3:PutObject, s3:GetObject, s3:ListBucket: without it a name that is not there is a 403; with a retention s3:PutObjectRetention) and at the lock settings of the bucket. It is tried again, and goes on where it stopped.',
  ),
  copy_unreachable: entry(
    'The place of the second copy of the root log does not answer.',
    true,
    503,
    'Bring it back, or mend `rootLog.copyS3.endpoint`. It is tried again, and goes on where it stopped; what the root log signs meanwhile is on disk.',
  ),
  timestamp_refused: entry(
    'The time stamp authority gave no stamp for what it was asked.',
    true,
    502,
    'Look at `rootLog.timestamp.url`: it must take RFC 3161 queries over HTTP with SHA-256. It is asked again.',
  ),
  timestamp_unreachable: entry(
    'The time stamp authority does not answer.',
    true,
    503,
    'Mend `rootLog.timestamp.url` or the way there. It is asked again; checkpoints go without a stamp meanwhile, which witnesses do not need.',
  ),
  root_log_diverges: entry(
    'The root log on disk is not the one that was signed last.',
    false,
    500,
    'Tampering or a restored backup: keep everything; the root log is not extended until it is explained.',
  ),
  policy_invalid: entry('A trust policy file has faults.', false, 400, 'Mend the line that `path` names.'),
  // Detection
  rule_invalid: entry(
    'A rule file has faults.',
    false,
    400,
    'Mend what `path` names; the other rules stay loaded.',
  ),
  // Controls
  control_invalid: entry('A control is malformed.', false, 400, 'Mend what `path` names.'),
  control_signature_invalid: entry(
    'A control does not verify under a pinned key.',
    false,
    400,
    'Do not trust the channel; check TRIPLINE_CONTROL_KEYS.',
  ),
  control_stale: entry(
    'A control is older than the one in force.',
    false,
    409,
    'Read the current version first.',
  ),
  control_refused: entry(
    'The call was refused by a kill switch.',
    false,
    403,
    'See the control that data.controlId names.',
  ),
  policy_refused: entry(
    'The call was refused by the policy of its host.',
    false,
    403,
    'See the line that data.policy names, in the policy of that host.',
  ),
  approval_required: entry(
    'The call needs an approval.',
    false,
    403,
    'Grant or deny data.approvalId with tripline approve; then the same call may be repeated, once.',
  ),
  approval_invalid: entry('An approval is malformed.', false, 400, 'Mend what `path` names.'),
  approval_signature_invalid: entry(
    'An approval does not verify under a pinned key.',
    false,
    400,
    'Do not trust the channel; check TRIPLINE_CONTROL_KEYS.',
  ),
  host_policy_invalid: entry(
    'The policy of a host has faults; all are listed.',
    false,
    500,
    'Mend every fault that the message lists; see tripline policy check.',
  ),
  redaction_invalid: entry(
    'The redaction of a host has faults, or its key cannot be used; all are listed.',
    false,
    500,
    'Mend what the message lists; see tripline redaction check. The host does not start, so nothing is recorded in the clear.',
  ),
  // Configuration and commands
  config_invalid: entry(
    'The configuration has faults; all are listed.',
    false,
    500,
    'Mend every fault that the message lists.',
  ),
  usage: entry('The command line is wrong.', false, 400, 'See --help.'),
  tap_nested: entry(
    'A tap was started inside a tap beyond the depth limit.',
    false,
    500,
    'The host swallowed `--`; give the server command after it.',
  ),
  // Gate
  gate_origin_refused: entry(
    'The Origin or Host header names nobody whom the gate serves.',
    false,
    403,
    'Add the page to allowedOrigins or the name to listen.allowedHosts, if they are yours.',
  ),
  gate_full: entry(
    'The gate records as many connections as it may.',
    true,
    503,
    'Raise streams.max, or find the client that opens so many.',
  ),
  gate_busy: entry(
    'The gate holds as many bytes of requests as it may.',
    true,
    503,
    'Send it again; or raise listen.maxHeldBytes, or find the client that sends so much at once.',
  ),
  gate_loop: entry(
    'The request has been through this gate already.',
    false,
    508,
    'Point the upstream at the server, not at the gate.',
  ),
  header_mismatch: entry(
    'An MCP header of the request contradicts its body.',
    false,
    400,
    'Find out who wrote the request: a client or a proxy in between is at fault, or lies.',
  ),
  upstream_unreachable: entry(
    'The MCP server cannot be reached, or broke off.',
    true,
    502,
    'Check the server and its url; the call is on record as abandoned.',
  ),
  upstream_refused: entry(
    'The answer of the MCP server is none that may pass: a redirect, or encoded although plain was asked for.',
    false,
    502,
    'Configure the URL that it redirects to, or switch its compression off.',
  ),
  upstream_transport_unsupported: entry(
    'The MCP server speaks HTTP+SSE of 2024-11-05; the gate passes streamable HTTP alone.',
    false,
    501,
    'Configure its URL for streamable HTTP; or let the host start a bridge from stdio to HTTP+SSE behind `tripline tap`.',
  ),
  data_dir_locked: entry(
    'Another process uses the data directory.',
    true,
    500,
    'Stop the other process, or use another --data.',
  ),
  unreachable: entry('The service does not answer.', true, 503, 'Start `tripline up`, or set TRIPLINE_URL.'),
  spool_full: entry(
    'The disk spool of a host is full.',
    true,
    503,
    'Bring the service back; raise spool.maxBytes.',
  ),
  export_invalid: entry('An export bundle cannot be read.', false, 400, 'Export again.'),
  verify_worker_failed: entry(
    'A thread of the verifier ended before it had looked into its part: nothing is said of the ledger.',
    true,
    500,
    'Run it again, with --jobs 1 where memory is short.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** The only error class of the project. `path` names the field at fault (dots and [i]); `detail` is safe to log. */
export class TriplineError extends Error {
  readonly code: ErrorCode;
  readonly path: string | undefined;
  readonly retryable: boolean;
  readonly status: number;

  constructor(code: ErrorCode, message?: string, options: { path?: string; cause?: unknown } = {}) {
    super(
      message ?? ERRORS[code].meaning,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'TriplineError';
    this.code = code;
    this.path = options.path;
    this.retryable = ERRORS[code].retryable;
    this.status = ERRORS[code].status;
  }
}

/** True when `error` is ours and, where given, has this code. */
export function isTriplineError(error: unknown, code?: ErrorCode): error is TriplineError {
  return error instanceof TriplineError && (code === undefined || error.code === code);
}
