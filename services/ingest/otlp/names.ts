const MAX_NAME_CHARACTERS = 256;

/** A name that the event schema takes: cut at 256 characters, control characters and lone surrogates as U+FFFD, an empty one `(empty)`. A strange name must not keep a call off the record. */
export function recordableName(name: string): string {
  const clean = name.slice(0, MAX_NAME_CHARACTERS).replaceAll(/[\p{Cc}\p{Cs}]/gu, '\uFFFD');
  return clean === '' ? '(empty)' : clean;
}
