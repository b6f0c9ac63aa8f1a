/**
 * A data directory whose tables hold many events: rows of the form that `record` writes, made by SQL inside the engine,
 * because ten millions through `record` take most of an hour. Their hashes are numbers and not those of their bytes, so
 * nothing but `verify` would see a difference.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { zConfig } from '../../schemas/config/v1.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { logId, logOrigin } from '../../services/evidence/origin.ts';
import { classMappingVersion } from '../../services/evidence/projection.ts';
import { toHex } from '../../services/evidence/bytes.ts';
import { sha256 } from '../../services/platform/ledger/crypto.ts';
import { openChdbStore } from '../../services/platform/store/chdb/open.ts';
import { migrate } from '../../services/platform/store/migrate.ts';
import type { Store } from '../../services/platform/store/port.ts';

const DATABASE = 'tripline';
const TOPIC = TOPICS.toolcalls.name;
const PARTITIONS = 4;
const SESSIONS_PER_PARTITION = 5_000;
const START_MS = 1_750_000_000_000;
/** One event every so many ms, over all partitions. */
const EVERY_MS = 2;
const ROWS_PER_INSERT = 500_000;
const MAX_MEMORY_BYTES = 4 * 1024 ** 3;
const TIMEOUT_MS = 600_000;

/** A tenth of the calls are steps of a chain of search, secret and post; all others concern no rule of it. */
const CALL = `multiIf(r < 60, 0, r < 80, 1, r < 100, 2, 3)`;
const TOOL = `['web_search', 'read_secret', 'http_post', 'compute_sum'][c + 1]`;
const CLASS = `['search', 'secret_read', 'external_post', 'other'][c + 1]`;
const ARGS = `['{"query":"style guide"}', '{"name":"deploy-token"}', '{"url":"https://collect.example/drop"}', '{"a":1,"b":2}'][c + 1]`;
const HOST = `['', '', 'collect.example', ''][c + 1]`;

const COMMON = `'${TOPIC}' AS topic, {partition} AS partition, q AS offset, 0 AS line`;
const ID = `unhex('{log}') AS log_id, q AS idx`;

function eventRows(mappingVersion: string): string {
  return `INSERT INTO ${DATABASE}.events (tenant, session_id, log_id, idx, topic, partition, offset, line, append_time,
      event_time, effective_time, kind, stream_id, seq, agent, call_id, server, tool, class, class_source, class_version,
      dest_host, args_bytes)
    SELECT 'default', session, ${ID}, ${COMMON}, t, t, t, 'call.intent', unhex(stream), q, 'bench', toString(q), 'server',
      ${TOOL}, ${CLASS}, 'name', '${mappingVersion}', ${HOST}, length(${ARGS}) FROM ({calls})`;
}

const LEDGER_ROWS = `INSERT INTO ${DATABASE}.ledger (log_id, idx, type, leaf_hash, prev_leaf_hash, topic, partition, offset,
    line, append_ms, stream_id, seq, ev_hash, key_id, flags, tenant, session_id)
  SELECT ${ID}, 0, h, h, ${COMMON}, toUnixTimestamp64Milli(t), unhex(stream), q, h, unhex(repeat('0', 64)), 0, 'default',
    session FROM (SELECT *, unhex(leftPad(lower(hex(q)), 64, '0')) AS h FROM ({calls}))`;

const PAYLOAD_ROWS = `INSERT INTO ${DATABASE}.payloads (log_id, idx, topic, partition, offset, line, prev_ev_hash, bytes)
  SELECT ${ID}, ${COMMON}, unhex(repeat('0', 64)), concat('{"v":1,"kind":"call.intent","stream":"', stream, '","seq":',
    toString(q), ',"nonce":"', repeat('0', 32), '","time":"', replaceOne(toString(t), ' ', 'T'), 'Z","session":"', session,
    '","agent":"bench","callId":"', toString(q), '","server":"server","tool":"', ${TOOL}, '","args":', ${ARGS}, '}')
  FROM ({calls})`;

/** The calls of a part of a partition: number, time, session, stream, and which of the four they are. */
function calls(partition: number, from: number, rows: number): string {
  const atMs = `${START_MS} + (q * ${PARTITIONS} + ${partition}) * ${EVERY_MS}`;
  return `SELECT q, fromUnixTimestamp64Milli(toInt64(${atMs}), 'UTC') AS t, ${CALL} AS c, concat('session-', toString(s)) AS session,
      leftPad(lower(hex(toUInt32(s))), 32, '0') AS stream
    FROM (SELECT number AS q, (cityHash64(number, ${partition}) % ${SESSIONS_PER_PARTITION}) * ${PARTITIONS} + ${partition} AS s,
      cityHash64(number, ${partition}, 7) % 1000 AS r FROM numbers(${from}, ${rows}))`;
}

async function checkpoint(store: Store, size: number): Promise<void> {
  const rows = Array.from({ length: PARTITIONS }, (_, partition) => {
    const origin = originOf(partition);
    const id = Buffer.from(logId(origin, sha256));
    return `('${TOPIC}', ${partition}, ${size}, unhex('${id.toString('hex')}'), '${origin}', ${size},
      unhex(repeat('0', 64)), unhex(repeat('0', 64)), 0, 1, '${'0'.repeat(64)}', '', '', now64(3))`;
  });
  await store.command(
    `INSERT INTO ${DATABASE}.checkpoints (topic, partition, next_offset, log_id, origin, size, root, last_leaf_hash,
       batch_index, batch_count, key_id, public_key, signature, signed_at) VALUES ${rows.join(', ')}`,
  );
}

const originOf = (partition: number): string =>
  logOrigin({ deployment: zConfig.parse({}).deployment, tenant: 'default', topic: TOPIC, partition }, sha256);

export function openStored(dataDir: string): Promise<Store> {
  const dir = join(dataDir, 'clickhouse');
  mkdirSync(dir, { recursive: true });
  return openChdbStore({
    dir,
    maxMemoryBytes: MAX_MEMORY_BYTES,
    queryTimeoutMs: TIMEOUT_MS,
    log: pino({ level: 'silent' }),
  });
}

/** Makes the tables below `dataDir` and fills them with so many events. */
export async function fillStored(store: Store, events: number): Promise<void> {
  await migrate(store, DATABASE);
  const { mappings, internalHosts } = zConfig.parse({}).classify;
  const { version } = classMappingVersion({ mappings, internalHosts }, sha256);
  const each = Math.floor(events / PARTITIONS);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const log = toHex(logId(originOf(partition), sha256));
    for (let from = 0; from < each; from += ROWS_PER_INSERT) {
      const rows = Math.min(ROWS_PER_INSERT, each - from);
      for (const statement of [eventRows(version), LEDGER_ROWS, PAYLOAD_ROWS]) {
        const sql = statement
          .replaceAll('{calls}', calls(partition, from, rows))
          .replaceAll('{log}', log)
          .replaceAll('{partition}', String(partition));
        await store.command(sql);
      }
    }
  }
  await checkpoint(store, each);
}
