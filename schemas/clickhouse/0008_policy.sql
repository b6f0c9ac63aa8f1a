-- What a host's policy said of a call, beside `verdict`, and how long the approval that a call asks for may be answered. Rows of
-- before have empty columns.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS policy_id LowCardinality(String) AFTER decision_id,
    ADD COLUMN IF NOT EXISTS policy_version UInt64 AFTER policy_id,
    ADD COLUMN IF NOT EXISTS policy_mode LowCardinality(String) AFTER policy_version,
    ADD COLUMN IF NOT EXISTS policy_effect LowCardinality(String) AFTER policy_mode,
    ADD COLUMN IF NOT EXISTS policy_rule LowCardinality(String) AFTER policy_effect,
    ADD COLUMN IF NOT EXISTS policy_hash LowCardinality(String) AFTER policy_rule,
    ADD COLUMN IF NOT EXISTS approval_ttl_ms UInt64 AFTER policy_hash
;
-- Few calls name an approval: granules without one are passed over.
ALTER TABLE {database}.events
    ADD INDEX IF NOT EXISTS by_approval approval_id TYPE minmax GRANULARITY 1
