/** tools/list of a connection: requests in flight, and the snapshot that a whole list gives. */
import type { EventDraft } from './draft.ts';
import { arrayElements, lastMember, objectMembers } from './json-scan.ts';
import { stringAt, textOf, valueAt, type WireMessage } from './message.ts';
import { recordableName } from './draft.ts';
import type { ObserverOptions } from './observer-options.ts';
import { knownHints, ToolRegistry, type Snapshot, type ToolDefinition } from './registry.ts';
import type { ToolClasses } from './tool-classes.ts';
import type { Splice } from './trace-context.ts';

interface ListRequest {
  readonly first: boolean;
}

/** tools/list requests in flight; more are not followed. */
const MAX_PENDING_LISTS = 256;

type ListOptions = Pick<ObserverOptions, 'server' | 'transport' | 'clock' | 'sha256Hex' | 'policy'>;

export class ToolLists {
  readonly #options: ListOptions;
  readonly #classes: ToolClasses;
  readonly #registry: ToolRegistry;
  readonly #pending = new Map<string, ListRequest>();

  constructor(options: ListOptions, classes: ToolClasses) {
    this.#options = options;
    this.#classes = classes;
    this.#registry = new ToolRegistry(options.sha256Hex);
  }

  /** As the server listed it last. */
  definition(tool: string): ToolDefinition | undefined {
    return this.#registry.definition(tool);
  }

  leaves(key: string, message: WireMessage): void {
    if (this.#pending.size >= MAX_PENDING_LISTS) return;
    const first = lastMember(message.params, 'cursor') === undefined;
    this.#pending.set(key, { first });
  }

  /** The snapshot where the answer makes a list whole that is new. */
  answered(key: string, message: WireMessage): EventDraft | undefined {
    const list = this.#pending.get(key);
    this.#pending.delete(key);
    if (list === undefined || message.result === undefined) return undefined;
    const snapshot = this.#registry.page(message.bytes, message.result, list.first);
    return snapshot === undefined ? undefined : this.#draft(snapshot);
  }

  #draft(snapshot: Snapshot): EventDraft {
    const labels = [
      ...(snapshot.changed.length > 0 ? ['definition_changed'] : []),
      ...(snapshot.tools.some(({ concealed }) => concealed.length > 0) ? ['concealed_unicode'] : []),
      ...(snapshot.truncated ? ['tools_truncated'] : []),
    ];
    const changed = new Set(snapshot.changed);
    const tools = snapshot.tools.map((tool) => ({
      name: tool.name,
      definitionHash: tool.definitionHash,
      class: this.#classes.of(tool.name, tool.annotations),
      ...(tool.annotations === undefined ? {} : { annotations: tool.annotations }),
      ...(changed.has(tool.name) ? { changed: true } : {}),
      ...this.#hiddenField(tool),
      ...(tool.concealed.length === 0 ? {} : { concealed: tool.concealed }),
    }));
    return {
      kind: 'registry.snapshot',
      timeMs: this.#options.clock.nowMs(),
      fields: {
        server: this.#options.server,
        transport: this.#options.transport,
        ...(labels.length === 0 ? {} : { labels }),
        registry: { snapshotHash: snapshot.snapshotHash, tools },
      },
    };
  }

  #hiddenField(tool: ToolDefinition): { readonly hidden?: string } {
    const hidden = this.#options.policy?.hidden(tool.name, this.#classes.of(tool.name, tool.annotations));
    return hidden === undefined ? {} : { hidden: hidden.rule };
  }

  /**
   * What takes the tools out of an answer that the policy hides: every answer that lists tools, also one that nobody is known to
   * have asked for. undefined where all of it may be seen. Take it after `answered`, which knows what is listed by then.
   */
  withoutHidden(message: WireMessage): Splice | undefined {
    const { policy } = this.#options;
    if (policy === undefined || message.result === undefined) return undefined;
    const { bytes } = message;
    const span = lastMember(objectMembers(bytes, message.result), 'tools');
    const tools = span === undefined ? undefined : arrayElements(bytes, span);
    if (span === undefined || tools === undefined) return undefined;
    const shown = tools.filter((tool) => {
      const members = objectMembers(bytes, tool);
      const name = recordableName(stringAt(bytes, lastMember(members, 'name')) ?? '');
      const annotations = knownHints(valueAt(bytes, lastMember(members, 'annotations')));
      return policy.hidden(name, this.#classes.of(name, annotations))?.isRemoved !== true;
    });
    if (shown.length === tools.length) return undefined;
    return { ...span, text: `[${shown.map((tool) => textOf(bytes, tool)).join(',')}]` };
  }

  has(key: string): boolean {
    return this.#pending.has(key);
  }

  /** It will not be answered: a list that is waited for takes the place of one that is. */
  forget(key: string): void {
    this.#pending.delete(key);
  }

  clear(): void {
    this.#pending.clear();
  }
}
