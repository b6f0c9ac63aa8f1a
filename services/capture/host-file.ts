/** A file of settings in force: what a host has read, and reads again where the file changes. */
import type { CaptureLog } from './log.ts';
import { WatchedFile, type FileReader, type FileReading, type Loaded } from './watched-file.ts';

export interface HostFileOptions<T> {
  readonly file: string;
  /** In the host's log: `policy_changed`, `policy_not_taken`. */
  readonly kind: 'policy' | 'labels';
  readonly reader: FileReader<T>;
  readonly log: CaptureLog;
  /** What the log says of a new one, beside its hash. */
  readonly logged?: (value: T) => Readonly<Record<string, string | number | boolean>>;
  /** What has been read already. */
  readonly loaded?: Loaded<T>;
  /** How often the file is looked at, ms; every second by default. */
  readonly lookIntervalMs?: number | undefined;
}

/** What became of the file. `rejected`: it has faults or cannot be read, and what was in force stays so. */
export type FileNews<T> =
  | { readonly state: 'applied'; readonly previous: Loaded<T>; readonly inForce: Loaded<T> }
  | {
      readonly state: 'rejected';
      readonly previous: Loaded<T>;
      readonly hash: string | undefined;
      readonly faults: readonly string[];
    };

const LOOK_INTERVAL_MS = 1_000;
/** On record; the host's log has them all. */
const MAX_FAULTS_ON_RECORD = 8;
const MAX_FAULT_CHARACTERS = 512;

export class HostFile<T> {
  readonly #options: HostFileOptions<T>;
  readonly #file: WatchedFile<T>;
  readonly #listeners = new Set<(news: FileNews<T>) => void>();
  #loaded: Loaded<T> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wasRejected = false;

  constructor(options: HostFileOptions<T>) {
    this.#options = options;
    this.#file = new WatchedFile(options.file, options.reader);
    this.#loaded = options.loaded;
    if (options.loaded !== undefined) this.#file.assumeRead();
  }

  /** What is in force; undefined before it was read. */
  get loaded(): Loaded<T> | undefined {
    return this.#loaded;
  }

  /** Reads the file where nothing has been read; answers its faults. */
  async load(): Promise<readonly string[]> {
    if (this.#loaded !== undefined) return [];
    const found = await this.#file.read();
    if (found.kind === 'faulty') return found.faults;
    this.#loaded = found.loaded;
    return [];
  }

  /** Tells what becomes of the file from now on; answers the way to end it. While anybody listens it is looked at. */
  subscribe(listener: (news: FileNews<T>) => void): () => void {
    this.#listeners.add(listener);
    this.#timer ??= this.#lookLater();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  #lookLater(): NodeJS.Timeout {
    const timer = setTimeout(() => void this.#look(), this.#options.lookIntervalMs ?? LOOK_INTERVAL_MS);
    return timer.unref();
  }

  async #look(): Promise<void> {
    const { kind, log } = this.#options;
    const found = await this.#file.look().catch((error: unknown) => {
      log('error', `${kind}_not_looked_at`, { message: String(error) });
      return undefined;
    });
    // Nobody listens any more, or somebody began to anew.
    if (this.#listeners.size === 0) return;
    if (found !== undefined && this.#loaded !== undefined) this.#take(found, this.#loaded);
    this.#timer = this.#lookLater();
  }

  #take(found: FileReading<T>, previous: Loaded<T>): void {
    const { kind, file, log, logged } = this.#options;
    if (found.kind === 'faulty') {
      const { faults, hash } = found;
      this.#wasRejected = true;
      log('error', `${kind}_not_taken`, { file, inForce: previous.hash, faults: faults.join('\n') });
      return this.#tell({ state: 'rejected', previous, hash, faults });
    }
    const { loaded } = found;
    // The very same again is no news, unless it was told that it had gone.
    if (loaded.hash === previous.hash && !this.#wasRejected) return;
    this.#wasRejected = false;
    this.#loaded = loaded;
    log('warn', `${kind}_changed`, {
      ...logged?.(loaded.value),
      hash: loaded.hash,
      previousHash: previous.hash,
    });
    this.#tell({ state: 'applied', previous, inForce: loaded });
  }

  #tell(news: FileNews<T>): void {
    for (const listener of this.#listeners) listener(news);
  }
}

/** As a heartbeat says it: few faults, and cut. */
export interface FileChange {
  readonly state: 'applied' | 'rejected';
  readonly previousHash: string;
  readonly hash?: string;
  readonly faults?: string[];
}

export function changeOnRecord<T>(news: FileNews<T>): FileChange {
  const previousHash = news.previous.hash;
  if (news.state === 'applied') return { state: 'applied', previousHash, hash: news.inForce.hash };
  const faults = news.faults
    .slice(0, MAX_FAULTS_ON_RECORD)
    .map((fault) => fault.slice(0, MAX_FAULT_CHARACTERS));
  return {
    state: 'rejected',
    previousHash,
    ...(news.hash === undefined ? {} : { hash: news.hash }),
    faults,
  };
}
