/** `T1001 .001 .002 T1003` → the ids in full: a part that begins with a dot belongs to the id before it. */
export function expandIds(prefix: string, text: string): readonly string[] {
  let parent = '';
  return text.split(/\s+/).flatMap((part) => {
    if (part === '') return [];
    if (part.startsWith('.')) return [`${prefix}${parent}${part}`];
    parent = part;
    return [`${prefix}${part}`];
  });
}
