/**
 * The controls that a host holds: verified, newest version of each id, on disk so that a restart begins with them. A
 * control leaves only by a signed newer version or by its expiry, never because a channel stopped naming it.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Control, SignedControl } from '../../../schemas/control/v1.ts';
import { newerControl, type ControlVerification } from '../../../schemas/control/verify.ts';
import type { CaptureLog } from '../log.ts';

export interface KeeperOptions {
  /** Shared by the taps of one data directory. */
  readonly file: string;
  readonly verify: (signed: SignedControl) => ControlVerification;
  readonly nowMs: () => number;
  readonly log: CaptureLog;
}

export type ApplyOutcome =
  | { readonly kind: 'applied'; readonly control: Control }
  | { readonly kind: 'lifted'; readonly control: Control }
  | { readonly kind: 'same'; readonly control: Control }
  | {
      readonly kind: 'rejected';
      readonly controlId: string;
      readonly version?: number;
      readonly code: string;
    };

interface Held {
  readonly control: Control;
  readonly signed: SignedControl;
}

/** More than a deployment ever has in force; then expired ones are forgotten first. */
const MAX_HELD = 4096;

export class ControlKeeper {
  readonly #options: KeeperOptions;
  readonly #held = new Map<string, Held>();
  #list: readonly Control[] = [];
  #holdsAny = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** All that are held, whatever their state; decideCall looks at expiry and state. */
  get controls(): readonly Control[] {
    return this.#list;
  }

  /** False when each that is held is lifted: then no call is refused. */
  get holdsAny(): boolean {
    return this.#holdsAny;
  }

  /** Takes what an earlier life or a sibling left on disk; each is verified again, a file is no authority. */
  load(): void {
    for (const signed of this.#readFile()) this.#merge(signed);
  }

  /** Takes one control from the channel; `applied` and `lifted` are on disk and in force when it returns. */
  apply(signed: SignedControl): ApplyOutcome {
    const outcome = this.#merge(signed);
    if (outcome.kind === 'applied' || outcome.kind === 'lifted') this.#persist();
    return outcome;
  }

  #merge(signed: SignedControl): ApplyOutcome {
    const verification = this.#options.verify(signed);
    if (verification.kind === 'invalid')
      return { kind: 'rejected', controlId: 'unknown', code: verification.code };
    const { control } = verification;
    switch (newerControl(this.#held.get(control.id)?.control, control)) {
      case 'same':
        return { kind: 'same', control };
      case 'stale':
        return {
          kind: 'rejected',
          controlId: control.id,
          version: control.version,
          code: 'control_stale',
        };
      case 'newer':
        this.#held.set(control.id, { control, signed });
        this.#forgetExpired();
        this.#list = [...this.#held.values()].map((held) => held.control);
        this.#holdsAny = this.#list.some(({ state }) => state === 'set');
        return { kind: control.state === 'set' ? 'applied' : 'lifted', control };
    }
  }

  #forgetExpired(): void {
    if (this.#held.size <= MAX_HELD) return;
    const nowMs = this.#options.nowMs();
    for (const [id, { control }] of this.#held) {
      if (Date.parse(control.expiresAt) <= nowMs) this.#held.delete(id);
    }
  }

  #readFile(): readonly SignedControl[] {
    try {
      const parsed = JSON.parse(readFileSync(this.#options.file, 'utf8')) as { readonly controls?: unknown };
      return Array.isArray(parsed.controls) ? (parsed.controls as readonly SignedControl[]) : [];
    } catch {
      return [];
    }
  }

  /** Merged with what siblings wrote, then replaced at once: a crash leaves the old file or the new one. */
  #persist(): void {
    for (const signed of this.#readFile()) this.#merge(signed);
    const text = JSON.stringify({ controls: [...this.#held.values()].map((held) => held.signed) });
    const temporary = `${this.#options.file}.${process.pid}.tmp`;
    try {
      mkdirSync(path.dirname(this.#options.file), { recursive: true, mode: 0o700 });
      writeFileSync(temporary, text, { mode: 0o600, flush: true });
      renameSync(temporary, this.#options.file);
    } catch {
      // It is in force in this process all the same; a restart begins with what the channel sends.
      this.#options.log('error', 'controls_not_persisted');
    }
  }
}
