/**
 * Limits of the event schema as plain numbers: a tap starts in the way of its host and must not load the schema library
 * for four constants. test/unit/capture/limits.test.ts holds them equal to schemas/event/v1.ts.
 */
export const MAX_INLINE_BODY_BYTES = 256 * 1024;
export const MAX_BODY_BYTES = 16 * 1024 * 1024;
export const MAX_LINE_BYTES = 512 * 1024;
export const MAX_JSON_DEPTH = 64;
