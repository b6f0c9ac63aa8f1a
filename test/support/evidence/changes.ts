/** Changes of one value in a line of a bundle. */
type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
interface Leaf {
  readonly path: string;
  readonly holder: Json[] | { [name: string]: Json };
  readonly name: string;
}

function leavesOf(value: Json, path: string): Leaf[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as { [name: string]: Json };
  return Object.entries(holder).flatMap(([name, inner]) => {
    const at = `${path}.${name}`;
    return typeof inner === 'object' && inner !== null ? leavesOf(inner, at) : [{ path: at, holder, name }];
  });
}

/** Another value of the same kind. */
function other(value: Json, salt: number): Json {
  if (typeof value === 'number') return value + 1 + (salt % 7);
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'string') return 1;
  if (value === '') return 'x';
  const at = salt % value.length;
  const letter = value[at] === '0' ? '1' : '0';
  return `${value.slice(0, at)}${letter}${value.slice(at + 1)}`;
}

/** The line with one of its values changed, and the path of that. */
export function changeOf(
  line: string,
  leaf: number,
  salt: number,
): { readonly line: string; readonly path: string } {
  const value = JSON.parse(line) as { [name: string]: Json; type: string };
  const leaves = leavesOf(value, value.type);
  const { holder, name, path } = leaves[leaf % leaves.length] as Leaf;
  const named = holder as { [name: string]: Json };
  named[name] = other(named[name] as Json, salt);
  return { line: JSON.stringify(value), path };
}
