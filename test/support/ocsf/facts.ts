/**
 * What OCSF 1.9.0 (released 2026-08-03) says of the attributes that an export has: names, types, enumerations, what is
 * required. Written down by hand from the released definitions of API Activity (6003), Detection Finding (2004), their
 * objects and the profiles `ai_operation`, `trace` and `record_integrity`; an attribute that is not here is none that
 * the export may have, so that a new one is looked up before it is sent.
 */

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: 'string', minLength: 1 };
const integer: Schema = { type: 'integer' };
/** timestamp_t: Unix ms. */
const time: Schema = { type: 'integer', minimum: 0 };
const bool: Schema = { type: 'boolean' };
const oneOf = (...values: readonly number[]): Schema => ({ enum: values });
const list = (items: Schema): Schema => ({ type: 'array', items, minItems: 1 });
/** Constraint `at_least_one`. */
const atLeastOne = (...names: readonly string[]): readonly Schema[] =>
  names.map((name) => ({ required: [name] }));

function object(
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[],
  anyOf?: readonly Schema[],
): Schema {
  const constraint = anyOf === undefined ? {} : { anyOf };
  return { type: 'object', properties, required, additionalProperties: false, ...constraint };
}

const fingerprint = object(
  {
    algorithm: { const: 'SHA-256' },
    // 3 SHA-256; 1 hex; 2 JCS (RFC 8785). Lower-case hex is how file_hash_t is written here.
    algorithm_id: { const: 3 },
    encoding_id: { const: 1 },
    serialization_id: { const: 2 },
    value: { type: 'string', pattern: '^[0-9a-f]{64}$' },
  },
  ['algorithm_id', 'value'],
);

const attestation = object(
  {
    uid: text,
    authority_uid: text,
    chain_uid: text,
    fingerprint,
    prev_event: object({ uid: text, type_uid: integer, fingerprint }, ['uid']),
  },
  [],
  atLeastOne('fingerprint', 'signatures'),
);

const metadata = object(
  {
    version: { const: '1.9.0' },
    product: object({ name: text, vendor_name: text, version: text }, [], atLeastOne('name', 'uid')),
    profiles: list({ enum: ['ai_operation', 'trace', 'record_integrity'] }),
    uid: text,
    log_name: text,
    sequence: integer,
    logged_time: time,
    tenant_uid: text,
  },
  ['product', 'version'],
);

const user = object({ name: text }, [], atLeastOne('account', 'name', 'uid'));

const shared: Readonly<Record<string, Schema>> = {
  activity_name: text,
  severity_id: oneOf(0, 1, 2, 3, 4, 5, 6, 99),
  status_detail: text,
  time,
  metadata,
  attestation_list: list(attestation),
  unmapped: { type: 'object' },
};

const REQUIRED = ['activity_id', 'category_uid', 'class_uid', 'metadata', 'severity_id', 'time', 'type_uid'];
/** An identifier 99 (Other) says nothing: its sibling must. */
const otherIsNamed = (id: string, sibling: string): Schema => ({
  if: { properties: { [id]: { const: 99 } }, required: [id] },
  // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's word
  then: { required: [sibling] },
});

export const API_ACTIVITY: Schema = {
  ...object(
    {
      ...shared,
      category_uid: { const: 6 },
      class_uid: { const: 6003 },
      activity_id: oneOf(0, 1, 2, 3, 4, 99),
      type_uid: oneOf(600_300, 600_301, 600_302, 600_303, 600_304, 600_399),
      status_id: oneOf(0, 1, 2, 99),
      actor: object(
        { app_name: text, session: object({ uid: text }, []), user },
        [],
        atLeastOne('process', 'user', 'session', 'app_name', 'app_uid', 'application', 'iam_role'),
      ),
      // A producer names the framework by type_id; `uid` is the agent's stable name.
      ai_agent: object({ name: text, uid: text, instance_uid: text, type_id: oneOf(0, 1, 2, 3, 4) }, ['uid']),
      api: object(
        {
          operation: text,
          service: object({ name: text }, [], atLeastOne('name', 'uid')),
          request: object({ uid: text }, ['uid']),
        },
        ['operation'],
      ),
      src_endpoint: object({ name: text, hostname: text }, [], atLeastOne('name', 'hostname')),
      dst_endpoint: object({ name: text, hostname: text }, [], atLeastOne('name', 'hostname')),
      trace: object({ uid: text }, ['uid']),
    },
    [...REQUIRED, 'actor', 'api', 'src_endpoint'],
  ),
  allOf: [otherIsNamed('activity_id', 'activity_name'), otherIsNamed('status_id', 'status_detail')],
};

export const DETECTION_FINDING: Schema = object(
  {
    ...shared,
    category_uid: { const: 2 },
    class_uid: { const: 2004 },
    activity_id: oneOf(0, 1, 2, 3, 99),
    type_uid: oneOf(200_400, 200_401, 200_402, 200_403, 200_499),
    status_id: oneOf(0, 1, 2, 3, 4, 5, 6, 99),
    is_alert: bool,
    finding_info: object(
      {
        uid: text,
        title: text,
        analytic: object(
          { uid: text, name: text, version: text, type_id: oneOf(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99) },
          ['type_id'],
          atLeastOne('name', 'uid'),
        ),
      },
      ['uid'],
    ),
  },
  [...REQUIRED, 'finding_info'],
);
