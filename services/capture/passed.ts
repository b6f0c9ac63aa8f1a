/** One line on its way through a recorded connection: what its shell says of it, and what becomes of it. */
import type { Control } from '../../schemas/control/v1.ts';
import type { EventDraft } from './draft.ts';

/** What the shell knows of a line beside its bytes. */
export interface AboutLine {
  /** Number space of the ids, where the connections of several clients are one stream. */
  readonly scope?: string;
  /** For the requests of the line. */
  readonly labels?: readonly string[];
  /** Refuses every call of the line, whatever the controls say. */
  readonly refuse?: Control;
}

/** What becomes of a line. */
export interface Passed {
  /** The very same bytes where nothing was changed; undefined when the line must not go on. */
  readonly forward: Uint8Array | undefined;
  /** JSON texts for the sender. */
  readonly answers: readonly string[];
  /** The line is held back: what becomes of it when its calls are judged. Others need not wait for it. */
  readonly later?: Promise<Passed>;
}

const REQUEST_KINDS: readonly EventDraft['kind'][] = ['call.intent', 'mcp.request'];

/** The drafts of a line with labels of its shell: on its requests. */
export function labelled(drafts: readonly EventDraft[], labels: readonly string[]): readonly EventDraft[] {
  return drafts.map((draft) => {
    if (!REQUEST_KINDS.includes(draft.kind)) return draft;
    const own = (draft.fields['labels'] as readonly string[] | undefined) ?? [];
    return { ...draft, fields: { ...draft.fields, labels: [...own, ...labels] } };
  });
}
