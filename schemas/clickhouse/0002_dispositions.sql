-- What people said of alerts: one row an audit event of action alert.disposition. The largest idx of an alert is the
-- latest: all audit events of a tenant stand in one log.
CREATE TABLE IF NOT EXISTS {database}.dispositions
(
    tenant LowCardinality(String),
    alert_id String,
    rule_id LowCardinality(String),
    disposition LowCardinality(String),
    reason String,
    actor String,
    role LowCardinality(String),
    event_time DateTime64(3, 'UTC'),
    append_time DateTime64(3, 'UTC'),
    log_id FixedString(32),
    idx UInt64
)
ENGINE = MergeTree
ORDER BY (tenant, alert_id, idx)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
