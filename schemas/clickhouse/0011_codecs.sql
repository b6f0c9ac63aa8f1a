-- Columns of hashes and ids in hex: no repetition that LZ4 could use, but 4 bits a byte, which ZSTD does. Indexes of entries
-- follow each other. Takes effect on parts that are written from here on; nothing is rewritten.
ALTER TABLE {database}.events
    MODIFY COLUMN idx CODEC(Delta, LZ4),
    MODIFY COLUMN call_id CODEC(ZSTD(1)),
    MODIFY COLUMN logical_call_id CODEC(ZSTD(1)),
    MODIFY COLUMN trace_id CODEC(ZSTD(1)),
    MODIFY COLUMN span_id CODEC(ZSTD(1)),
    MODIFY COLUMN parent_span_id CODEC(ZSTD(1)),
    MODIFY COLUMN args_hash CODEC(ZSTD(1)),
    MODIFY COLUMN result_hash CODEC(ZSTD(1))
;
ALTER TABLE {database}.ledger
    MODIFY COLUMN idx CODEC(Delta, LZ4)
;
ALTER TABLE {database}.payloads
    MODIFY COLUMN idx CODEC(Delta, LZ4)
