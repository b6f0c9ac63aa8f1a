/**
 * Which cosigned checkpoint each COVERAGE leaf says it is later than. A leaf that names one that was made after it, goes
 * back to an older one, or stops naming any, was not written when it says.
 */
import { toHex, utf8, ZERO_HASH, type Sha256 } from './bytes.ts';
import type { NotBeforeReport } from './report.ts';
import type { Checkpoint } from './tlog/checkpoint.ts';

const NOTHING = toHex(ZERO_HASH);

interface KnownNote {
  readonly size: number;
  /** Hex. */
  readonly root: string;
}

export class NotBeforeClaims {
  readonly #sha256: Sha256;
  readonly #known = new Map<string, KnownNote>();
  readonly #roots = new Map<number, string>();
  readonly #named = new Set<string>();
  #last = NOTHING;
  #lastSize = 0;
  #isSplit = false;
  #checked = 0;
  #unknown = 0;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /** `checkpoint` is that of the note, and its signatures were checked. */
  know(note: string, checkpoint: Checkpoint): void {
    const root = toHex(checkpoint.root);
    const { size } = checkpoint;
    this.#known.set(toHex(this.#sha256(utf8(note))), { size, root });
    if ((this.#roots.get(size) ?? root) !== root) this.#isSplit = true;
    this.#roots.set(size, root);
  }

  /** The claim of the COVERAGE leaf at `index`; false where it cannot be so. */
  accept(hash: string, index: number): boolean {
    if (hash !== this.#last && !this.#follows(hash)) return false;
    if (hash === NOTHING) return true;
    const note = this.#known.get(hash);
    if (note === undefined) {
      this.#unknown += 1;
      return true;
    }
    if (note.size > index || note.size < this.#lastSize) return false;
    this.#lastSize = note.size;
    this.#checked += 1;
    return true;
  }

  /** Another one than the leaf before names: one that none has named yet, and not none. */
  #follows(hash: string): boolean {
    if (hash === NOTHING || this.#named.has(hash)) return false;
    this.#named.add(hash);
    this.#last = hash;
    return true;
  }

  /** True where the leaves have another root at this size than a checkpoint that was handed over. */
  differsAt(size: number, root: () => string): boolean {
    const known = this.#roots.get(size);
    return known !== undefined && (this.#isSplit || known !== root());
  }

  report(): NotBeforeReport {
    return { checked: this.#checked, unknown: this.#unknown };
  }
}
