/** Reads bundles, of either form. */
import { TriplineError } from '../../schemas/errors.ts';
import { BUNDLE_MAGIC, readSections } from './bundle-binary.ts';
import { readUsualRows } from './bundle-rows.ts';
import { zBundleLine, type BundleLine } from './bundle.ts';
import { concatBytes, equalBytes } from './bytes.ts';
import { linesLookedInto, linesOfSections, type LookAhead } from './look-ahead.ts';

/** A line of a bundle holds one event of at most 512 KiB in base64, or a header with many heads. */
const MAX_LINE_CHARACTERS = 64 * 1024 * 1024;

/**
 * Lines of a bundle, in NDJSON or binary. Throws export_invalid for what is no bundle. A last line that is cut off is left
 * out: the bundle then has no end line, and that is what the verifier reports.
 */
export async function* readBundle(source: AsyncIterable<Uint8Array>): AsyncGenerator<BundleLine> {
  for await (const lines of readBundleParts(source)) yield* lines;
}

/** As readBundle, as many at a time as there are at hand: waiting for each of millions costs more than to check it. */
export async function* readBundleParts(
  source: AsyncIterable<Uint8Array>,
  ahead?: LookAhead,
): AsyncGenerator<Iterable<BundleLine>> {
  const pieces = source[Symbol.asyncIterator]();
  let first: Uint8Array = new Uint8Array(0);
  while (isStartOf(first, BUNDLE_MAGIC) && first.length < BUNDLE_MAGIC.length) {
    const next = await pieces.next();
    if (next.done === true) break;
    first = first.length === 0 ? next.value : concatBytes([first, next.value]);
  }
  const isBinary = first.length >= BUNDLE_MAGIC.length && isStartOf(first, BUNDLE_MAGIC);
  const rest = following(isBinary ? first.subarray(BUNDLE_MAGIC.length) : first, pieces);
  if (!isBinary) return yield* readLines(rest);
  const sections = readSections(rest, parseLine);
  yield* ahead === undefined ? linesOfSections(sections) : linesLookedInto(sections, ahead);
}

/** As far as both go. */
function isStartOf(bytes: Uint8Array, magic: Uint8Array): boolean {
  const count = Math.min(bytes.length, magic.length);
  return equalBytes(bytes.subarray(0, count), magic.subarray(0, count));
}

/** The source ends with whoever reads it. */
async function* following(first: Uint8Array, pieces: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    for (;;) {
      const next = await pieces.next();
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await pieces.return?.();
  }
}

async function* readLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<Iterable<BundleLine>> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of source) {
    rest += textOf(decoder, chunk);
    if (rest.length > MAX_LINE_CHARACTERS) throw new TriplineError('export_invalid', 'a line is too long');
    const whole = rest.lastIndexOf('\n') + 1;
    if (whole > 0) yield linesOf(rest.slice(0, whole));
    rest = rest.slice(whole);
  }
  if (isWhole(rest)) yield [parseLine(rest)];
}

/** Read when they are asked for: a fault is one of its line, behind those before it. */
function* linesOf(text: string): Generator<BundleLine> {
  let start = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
    if (end > start) yield parseLine(text.slice(start, end));
    start = end + 1;
  }
}

function textOf(decoder: InstanceType<typeof TextDecoder>, chunk: Uint8Array): string {
  try {
    return decoder.decode(chunk, { stream: true });
  } catch (cause) {
    throw new TriplineError('export_invalid', 'the bundle is not UTF-8', { cause });
  }
}

/** Of what follows the last line break: whether it is a line that only lost its own. */
function isWhole(rest: string): boolean {
  try {
    JSON.parse(rest);
    return true;
  } catch {
    return false;
  }
}

function parseLine(text: string): BundleLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TriplineError('export_invalid', 'a line of the bundle is not JSON', { cause });
  }
  const rows = readUsualRows(value);
  if (rows !== undefined) return rows;
  const outcome = zBundleLine.safeParse(value);
  if (outcome.success) return outcome.data;
  const path = (outcome.error.issues[0]?.path ?? []).join('.');
  throw new TriplineError('export_invalid', 'a line of the bundle has the wrong form', { path });
}
