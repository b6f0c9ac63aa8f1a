/**
 * Bodies that travel in parts, as the matcher sees them: pure. Each part is its call once more, with the part's text as
 * arguments or result, behind the end of the part before: what stands across a cut is seen, and no body is put together
 * in memory. A part is text of JSON, cut anywhere, so its escapes are read as what they mean.
 */
import type { Event } from '../../schemas/event/v1.ts';

/** Characters of a part that are kept for the next: the longest phrase, value or pattern that a cut may part. */
const OVERLAP_CHARACTERS = 4_096;
/** Of the first part of arguments every later one brings so much along: where a call goes mostly stands in front. */
const HEAD_CHARACTERS = 2_048;
/** Bodies that are under way at once. Parts of a body follow each other in their stream, so few are. */
const MAX_OPEN = 1_024;

type Body = NonNullable<Event['body']>;

interface Open {
  readonly callId: string;
  readonly of: 'args' | 'result';
  /** The part that must come next. */
  readonly part: number;
  readonly head: string;
  readonly tail: string;
}

export type PackedBodies = readonly (readonly [stream: string, open: Open])[];

export class Bodies {
  private readonly open: Map<string, Open>;

  constructor(packed: PackedBodies = []) {
    this.open = new Map(packed);
  }

  pack(): PackedBodies {
    return [...this.open];
  }

  /** The call as this part tells it; undefined for any event that is no part. `stream` tells tenants apart. */
  continued(stream: string, event: Event): Event | undefined {
    if (event.kind !== 'call.body') return undefined;
    const { body, callId } = event;
    if (body === undefined || callId === undefined) return undefined;
    const value = unescaped(this.textOf(stream, callId, body));
    const call = { ...event };
    delete call.body;
    delete call.args;
    delete call.result;
    return body.of === 'args'
      ? { ...call, kind: 'call.intent', args: value }
      : { ...call, kind: 'call.result', result: value };
  }

  /** The part behind what is kept of the parts before it. */
  private textOf(stream: string, callId: string, body: Body): string {
    const data = dataOf(body);
    const before = this.take(stream, callId, body);
    const { head, tail } = before ?? { head: headOf(body, data), tail: '' };
    const text = tail + data;
    const { of, part, parts } = body;
    if (part + 1 < parts)
      this.keep(stream, { callId, of, part: part + 1, head, tail: text.slice(-OVERLAP_CHARACTERS) });
    return before === undefined || head === '' ? text : `${head}\n${text}`;
  }

  /** What the part before left for this one; all else that was open in the stream has ended. */
  private take(stream: string, callId: string, { of, part }: Body): Open | undefined {
    const open = this.open.get(stream);
    this.open.delete(stream);
    return open?.callId === callId && open.of === of && open.part === part ? open : undefined;
  }

  private keep(stream: string, open: Open): void {
    this.open.set(stream, open);
    if (this.open.size <= MAX_OPEN) return;
    this.open.delete(this.open.keys().next().value as string);
  }
}

/** Of arguments only. */
function headOf({ of, part }: Body, data: string): string {
  return of === 'args' && part === 0 ? data.slice(0, HEAD_CHARACTERS) : '';
}

function dataOf({ data, encoding }: Body): string {
  return encoding === 'base64' ? Buffer.from(data, 'base64').toString('utf8') : data;
}

const ESCAPE = /\\(?:u([0-9A-Fa-f]{4})|([bfnrt"\\/]))/g;
const MEANINGS: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** RFC 8259 §7. */
function unescaped(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(ESCAPE, (_, code: string | undefined, letter: string | undefined) =>
    code === undefined
      ? (MEANINGS[letter ?? ''] ?? letter ?? '')
      : String.fromCharCode(Number.parseInt(code, 16)),
  );
}
