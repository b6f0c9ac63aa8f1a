-- Payloads under keys of their subjects. subject 0: the bytes stand in the clear (rows of before, and the audit trail).
-- Else `bytes` of the row with idx = block holds the sealed lines of the block, and this row is line `place` of it,
-- `size` bytes long.
ALTER TABLE {database}.payloads
    ADD COLUMN IF NOT EXISTS subject UInt64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS block UInt64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS place UInt16 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS size UInt32 DEFAULT 0
;
-- Parts that an erasure replaced are looked for every few seconds, instead of every half minute to five: until they are
-- gone from the disk, so is nothing.
ALTER TABLE {database}.events
    MODIFY SETTING cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
;
ALTER TABLE {database}.alerts
    MODIFY SETTING cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
;
ALTER TABLE {database}.dead_letters
    MODIFY SETTING cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
;
ALTER TABLE {database}.payloads
    MODIFY SETTING cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2
