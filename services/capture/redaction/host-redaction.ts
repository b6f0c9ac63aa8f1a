/** The redaction of this host: rules and key, read once at its start. Nothing is recorded before. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import type { CaptureLog } from '../log.ts';
import type { Sha256Hex } from '../registry.ts';
import { DraftRedactor, type RedactionIdentity } from './draft-redactor.ts';
import { readRedactionKey, type Keyed } from './key.ts';
import { redactionHash, RedactionRules } from './rules.ts';
import { forgetOldSessions, SessionMemory } from './session-memory.ts';

export interface HostRedactionSettings {
  readonly file: string;
  readonly keyFile: string;
  readonly dataDir: string;
}

export interface StreamFacts {
  readonly session: string;
  readonly server: string;
  readonly sha256Hex: Sha256Hex;
  readonly nowMs: () => number;
  readonly log: CaptureLog;
}

export type StreamRedaction = Pick<DraftRedactor, 'redact' | 'shown'>;

interface Loaded {
  readonly rules: RedactionRules;
  readonly identity: RedactionIdentity;
  readonly keyed: Keyed;
}

export class HostRedaction {
  readonly #settings: HostRedactionSettings;
  #loaded: Loaded | undefined;

  constructor(settings: HostRedactionSettings) {
    this.#settings = settings;
  }

  get isLoaded(): boolean {
    return this.#loaded !== undefined;
  }

  /** Reads rules and key; throws redaction_invalid with every fault. */
  async load(): Promise<void> {
    if (this.#loaded !== undefined) return;
    const { file, keyFile } = this.#settings;
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(file);
    } catch (cause) {
      const message = `${file} cannot be read`;
      throw new TriplineError('redaction_invalid', message, { path: 'TRIPLINE_REDACTION', cause });
    }
    const { readRedaction } = await import('./read.ts');
    const policy = readRedaction(file, bytes);
    const keyed = readRedactionKey(keyFile);
    const { id, version } = policy;
    const identity = { id, version, hash: redactionHash(policy), keyId: keyed.keyId };
    this.#loaded = { rules: new RedactionRules(policy), identity, keyed };
  }

  /** The redaction of one stream. May be asked for before it is loaded, and used only after. */
  stream(of: StreamFacts): StreamRedaction {
    let made: DraftRedactor | undefined;
    const redactor = (): DraftRedactor => (made ??= this.#redactor(of));
    return {
      redact: (draft) => redactor().redact(draft),
      shown: (args, tool) => redactor().shown(args, tool),
    };
  }

  /** What stream.open says. */
  get identity(): RedactionIdentity {
    return this.#ready().identity;
  }

  #ready(): Loaded {
    // Nothing goes on record in the clear.
    if (this.#loaded === undefined) throw new TriplineError('not_ready', 'the redaction is not loaded');
    return this.#loaded;
  }

  #redactor({ session, server, sha256Hex, nowMs, log }: StreamFacts): DraftRedactor {
    const { rules, identity, keyed } = this.#ready();
    const directory = path.join(this.#settings.dataDir, 'capture', 'redaction');
    forgetOldSessions(directory, nowMs());
    const memory = rules.follow ? new SessionMemory({ directory, session, keyed, log }) : undefined;
    return new DraftRedactor({ rules, identity, keyed, session, memory, server, sha256Hex });
  }
}
