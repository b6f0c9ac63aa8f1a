-- What the migrations amount to. Written by test/support/clickhouse-schema/write-golden.ts; do not edit.

CREATE TABLE tripline.alerts
(
    `tenant` LowCardinality(String),
    `alert_id` String,
    `rule_id` LowCardinality(String),
    `rule_hash` String,
    `title` String,
    `level` LowCardinality(String),
    `mode` LowCardinality(String),
    `scope` LowCardinality(String),
    `session_id` String,
    `agent` LowCardinality(String),
    `effective_time` DateTime64(3, 'UTC'),
    `append_time` DateTime64(3, 'UTC'),
    `time_basis` LowCardinality(String),
    `tags` Array(LowCardinality(String)),
    `log_id` FixedString(32),
    `idx` UInt64,
    `body` String CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (tenant, effective_time, alert_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192, cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
;

CREATE TABLE tripline.checkpoints
(
    `topic` LowCardinality(String),
    `partition` UInt32,
    `next_offset` UInt64,
    `log_id` FixedString(32),
    `origin` String,
    `size` UInt64,
    `root` FixedString(32),
    `last_leaf_hash` FixedString(32),
    `batch_index` UInt32,
    `batch_count` UInt32,
    `key_id` String,
    `public_key` String,
    `signature` String,
    `signed_at` DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (log_id, size)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192
;

CREATE TABLE tripline.class_mappings
(
    `version` String,
    `body` String,
    `first_used` DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY version
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192
;

CREATE TABLE tripline.controls
(
    `tenant` LowCardinality(String),
    `control_id` String,
    `version` UInt64,
    `scope` LowCardinality(String),
    `target` String,
    `mode` LowCardinality(String),
    `state` LowCardinality(String),
    `reason` String,
    `issued_by` String,
    `issued_at` DateTime64(3, 'UTC'),
    `expires_at` DateTime64(3, 'UTC'),
    `alert_id` String,
    `payload` String,
    `key_id` String,
    `signature` String
)
ENGINE = MergeTree
ORDER BY (tenant, control_id, version)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192
;

CREATE TABLE tripline.dead_letters
(
    `tenant` LowCardinality(String),
    `code` LowCardinality(String),
    `path` String,
    `message` String,
    `origin` String,
    `append_time` DateTime64(3, 'UTC'),
    `raw` String CODEC(ZSTD(1)),
    `raw_bytes` UInt64,
    `raw_hash` String,
    `log_id` FixedString(32),
    `idx` UInt64
)
ENGINE = MergeTree
ORDER BY (tenant, append_time)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192, cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
;

CREATE TABLE tripline.dispositions
(
    `tenant` LowCardinality(String),
    `alert_id` String,
    `rule_id` LowCardinality(String),
    `disposition` LowCardinality(String),
    `reason` String,
    `actor` String,
    `role` LowCardinality(String),
    `event_time` DateTime64(3, 'UTC'),
    `append_time` DateTime64(3, 'UTC'),
    `log_id` FixedString(32),
    `idx` UInt64
)
ENGINE = MergeTree
ORDER BY (tenant, alert_id, idx)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192
;

CREATE TABLE tripline.events
(
    `tenant` LowCardinality(String),
    `session_id` String,
    `log_id` FixedString(32),
    `idx` UInt64 CODEC(Delta(8), LZ4),
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `line` UInt16,
    `append_time` DateTime64(3, 'UTC'),
    `event_time` DateTime64(3, 'UTC'),
    `effective_time` DateTime64(3, 'UTC'),
    `kind` LowCardinality(String),
    `stream_id` FixedString(16),
    `seq` UInt64,
    `agent` LowCardinality(String),
    `principal` String,
    `host` LowCardinality(String),
    `call_id` String CODEC(ZSTD(1)),
    `logical_call_id` String CODEC(ZSTD(1)),
    `trace_id` String CODEC(ZSTD(1)),
    `span_id` String CODEC(ZSTD(1)),
    `parent_span_id` String CODEC(ZSTD(1)),
    `server` LowCardinality(String),
    `transport` LowCardinality(String),
    `tool` LowCardinality(String),
    `claimed_class` LowCardinality(String),
    `class` LowCardinality(String),
    `class_source` LowCardinality(String),
    `class_version` LowCardinality(String),
    `dest_host` String,
    `definition_hash` String,
    `args_hash` String CODEC(ZSTD(1)),
    `args_bytes` UInt64,
    `result_hash` String CODEC(ZSTD(1)),
    `result_bytes` UInt64,
    `schema_valid` Nullable(Bool),
    `outcome` LowCardinality(String),
    `duration_ms` Float64,
    `trust` LowCardinality(String),
    `labels` Array(LowCardinality(String)),
    `verdict` LowCardinality(String),
    `control_id` String,
    `approval_id` String,
    `method` LowCardinality(String),
    `resource_uri` String,
    `task_id` String,
    `decision_id` String,
    `policy_id` LowCardinality(String),
    `policy_version` UInt64,
    `policy_mode` LowCardinality(String),
    `policy_effect` LowCardinality(String),
    `policy_rule` LowCardinality(String),
    `policy_hash` LowCardinality(String),
    `approval_ttl_ms` UInt64,
    `unknown_fields` Array(String),
    `findings` Array(LowCardinality(String)),
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_stream stream_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_approval approval_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (tenant, session_id, effective_time, partition, offset, line)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192, cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
;

CREATE TABLE tripline.ledger
(
    `log_id` FixedString(32),
    `idx` UInt64 CODEC(Delta(8), LZ4),
    `type` UInt8,
    `leaf_hash` FixedString(32),
    `prev_leaf_hash` FixedString(32),
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `line` UInt16,
    `append_ms` UInt64,
    `stream_id` FixedString(16),
    `seq` UInt64,
    `ev_hash` FixedString(32),
    `key_id` FixedString(32),
    `flags` UInt8,
    `tenant` LowCardinality(String),
    `session_id` String,
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_stream stream_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (log_id, idx)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192
;

CREATE TABLE tripline.payloads
(
    `log_id` FixedString(32),
    `idx` UInt64 CODEC(Delta(8), LZ4),
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `line` UInt16,
    `prev_ev_hash` FixedString(32),
    `bytes` String CODEC(ZSTD(1)),
    `batch` String,
    `subject` UInt64 DEFAULT 0,
    `block` UInt64 DEFAULT 0,
    `place` UInt16 DEFAULT 0,
    `size` UInt32 DEFAULT 0,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (log_id, idx)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192, cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
;

CREATE TABLE tripline.schema_migrations
(
    `name` String,
    `checksum` String,
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY name
SETTINGS index_granularity = 8192
;
