-- Signature of a producer over the record whose last line this is: u64 first_seq || the 209 bytes of header batch-sig.
-- Empty where the record is not signed, on all other lines, and on rows of before.
ALTER TABLE {database}.payloads
    ADD COLUMN IF NOT EXISTS batch String AFTER bytes
