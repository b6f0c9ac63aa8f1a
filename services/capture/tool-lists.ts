/** tools/list of a connection: requests in flight, and the snapshot that a whole list gives. */
import type { EventDraft } from './draft.ts';
import { lastMember } from './json-scan.ts';
import type { WireMessage } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';
import { ToolRegistry, type Snapshot, type ToolDefinition } from './registry.ts';
import type { ToolClasses } from './tool-classes.ts';

interface ListRequest {
  readonly first: boolean;
}

/** tools/list requests in flight; more are not followed. */
const MAX_PENDING_LISTS = 256;

type ListOptions = Pick<ObserverOptions, 'server' | 'transport' | 'clock' | 'sha256Hex'>;

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

  clear(): void {
    this.#pending.clear();
  }
}
