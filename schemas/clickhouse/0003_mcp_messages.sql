-- Messages of MCP beside tool calls, and decisions: what they are about. Rows of before have empty columns.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS method LowCardinality(String) AFTER approval_id,
    ADD COLUMN IF NOT EXISTS resource_uri String AFTER method,
    ADD COLUMN IF NOT EXISTS task_id String AFTER resource_uri,
    ADD COLUMN IF NOT EXISTS decision_id String AFTER task_id
