/**
 * Where the texts stand that a host hands its model: `content[].text`, texts of embedded resources, `contents[].text` of
 * resources that were read, every string value inside `structuredContent`, and the same inside the `result` of a task.
 * Nothing else is ever changed.
 */
import { arrayElements, objectMembers, type Member, type Span } from '../json-scan.ts';

const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const MAX_TEXTS = 4_096;
const MAX_DEPTH = 16;

class Texts {
  readonly spans: Span[] = [];
  more = false;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  member({ name, start, end }: Member, isTask = false): void {
    if (name === 'content') this.blocks({ start, end });
    else if (name === 'contents') this.elements({ start, end }, (item) => this.texts(item));
    else if (name === 'structuredContent') this.values({ start, end }, 0);
    else if (name === 'result' && !isTask)
      for (const member of objectMembers(this.bytes, { start, end }) ?? []) this.member(member, true);
  }

  private blocks(list: Span): void {
    this.elements(list, (block) => {
      this.texts(block);
      for (const { name, ...span } of objectMembers(this.bytes, block) ?? []) {
        if (name === 'resource') this.texts(span);
      }
    });
  }

  /** Member `text`; all of that name, since peers differ on which counts. */
  private texts(object: Span): void {
    for (const { name, ...span } of objectMembers(this.bytes, object) ?? [])
      if (name === 'text') this.add(span);
  }

  private elements(list: Span, each: (item: Span) => void): void {
    for (const item of arrayElements(this.bytes, list) ?? []) each(item);
  }

  private values(span: Span, depth: number): void {
    const first = this.bytes[span.start];
    if (first === QUOTE) this.add(span);
    else if (depth >= MAX_DEPTH) this.more ||= first === OPEN_OBJECT || first === OPEN_ARRAY;
    else if (first === OPEN_OBJECT)
      for (const member of objectMembers(this.bytes, span) ?? []) this.values(member, depth + 1);
    else if (first === OPEN_ARRAY) this.elements(span, (item) => this.values(item, depth + 1));
  }

  private add({ start, end }: Span): void {
    if (this.bytes[start] !== QUOTE) return;
    if (this.spans.length >= MAX_TEXTS) this.more = true;
    else this.spans.push({ start, end });
  }
}

/** Spans of these strings, quotes included; `more`: a bound left some out. */
export function resultTexts(
  bytes: Uint8Array,
  members: readonly Member[],
): { readonly spans: readonly Span[]; readonly more: boolean } {
  const texts = new Texts(bytes);
  for (const member of members) texts.member(member);
  return texts;
}
