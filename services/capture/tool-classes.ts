/** Classes of listed and called tools, each worked out once a list of definitions and not once a call. */
import { classify, type ClassMappingLine } from '../../detectors/classify/index.ts';

interface KnownClass {
  readonly annotations: Readonly<Record<string, unknown>> | undefined;
  readonly class: string;
}

/** Tool names come from a model or an attacker: only so many are remembered. */
const MAX_KNOWN_CLASSES = 1024;

export class ToolClasses {
  readonly #server: string;
  readonly #mappings: () => readonly ClassMappingLine[];
  readonly #classes = new Map<string, KnownClass>();
  #classifiedWith: readonly ClassMappingLine[] | undefined;

  constructor(server: string, mappings: () => readonly ClassMappingLine[]) {
    this.#server = server;
    this.#mappings = mappings;
  }

  of(tool: string, annotations: Readonly<Record<string, unknown>> | undefined): string {
    const mappings = this.#mappings();
    if (mappings !== this.#classifiedWith || this.#classes.size >= MAX_KNOWN_CLASSES) this.#classes.clear();
    this.#classifiedWith = mappings;
    const known = this.#classes.get(tool);
    if (known !== undefined && known.annotations === annotations) return known.class;
    const { class: found } = classify({ server: this.#server, tool, annotations }, mappings);
    this.#classes.set(tool, { annotations, class: found });
    return found;
  }
}
