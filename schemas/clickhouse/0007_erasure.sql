-- Payloads under keys of their subjects. subject 0: the bytes stand in the clear (rows of before, and the audit trail).
-- Else `bytes` of the row with idx = block holds the sealed lines of the block, and this row is line `place` of it,
-- `size` bytes long.
ALTER TABLE {database}.payloads
    ADD COLUMN IF NOT EXISTS subject UInt64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS block UInt64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS place UInt16 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS size UInt32 DEFAULT 0
