/** Text of others on a terminal or a page. */

/**
 * Text from events, safe for a terminal: control, bidirectional and zero-width characters are shown as \u{…}, so that a
 * tool name cannot move the cursor, colour the screen or hide part of itself.
 */
export function visible(text: string, maxLength = 200): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text;
  return cut.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
