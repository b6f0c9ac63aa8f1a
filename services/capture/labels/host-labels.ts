/** The operator's mapping of this host: how what crosses its boundary is labelled; read again where its file changes. */
import type { LabelMappingChange, LabelMappingStamp } from '../../../schemas/event/v1.ts';
import type { BoundaryConfig } from '../../../schemas/labels/v1.ts';
import { changeOnRecord, HostFile } from '../host-file.ts';
import type { CaptureLog } from '../log.ts';
import { sha256Hex } from '../recorder/chain.ts';
import type { Loaded } from '../watched-file.ts';
import { readBoundary, readBoundaryFile } from './boundary-file.ts';

export interface BoundarySettings {
  /** As it was read at the start. */
  readonly mapping: Loaded<BoundaryConfig>;
  /** Where it was read, and is looked at again; undefined = it stays as it is. */
  readonly file?: string;
  /** How often, ms; every second by default. */
  readonly lookIntervalMs?: number;
}

/** For the record of each connection: what is in force, and what became of the file. */
export interface LabelNews {
  readonly labelMapping: LabelMappingStamp;
  readonly labelMappingChange: LabelMappingChange;
}

/** Throws config_invalid with every fault; `named` is the variable that names the file. */
export function boundaryFromFile(file: string, named: string): BoundarySettings {
  return { mapping: readBoundaryFile(file, named), file };
}

/** A mapping without a file of its own; its hash is that of its JSON. */
export function fixedBoundary(mapping: BoundaryConfig): BoundarySettings {
  return { mapping: { value: mapping, hash: sha256Hex(Buffer.from(JSON.stringify(mapping))) } };
}

export class HostLabels {
  readonly #fixed: Loaded<BoundaryConfig>;
  readonly #file: HostFile<BoundaryConfig> | undefined;

  constructor({ mapping, file, lookIntervalMs }: BoundarySettings, log: CaptureLog) {
    this.#fixed = mapping;
    if (file !== undefined)
      this.#file = new HostFile({
        file,
        kind: 'labels',
        reader: readBoundary,
        log,
        logged: wishesOf,
        loaded: mapping,
        lookIntervalMs,
      });
  }

  get mapping(): BoundaryConfig {
    return this.#inForce.value;
  }

  /** What stream.open says. */
  get stamp(): LabelMappingStamp {
    const { value, hash } = this.#inForce;
    return { hash, ...wishesOf(value) };
  }

  get #inForce(): Loaded<BoundaryConfig> {
    return this.#file?.loaded ?? this.#fixed;
  }

  /** Tells what becomes of the file from now on; answers the way to end it. */
  subscribe(listener: (news: LabelNews) => void): () => void {
    if (this.#file === undefined) return () => undefined;
    return this.#file.subscribe((news) =>
      listener({ labelMapping: this.stamp, labelMappingChange: { ...changeOnRecord(news) } }),
    );
  }
}

/** True where answers reach the client otherwise than they came. */
export function changesAnswers({ resultMeta, instructions }: BoundaryConfig): boolean {
  return resultMeta || instructions !== 'off';
}

const wishesOf = ({ resultMeta, instructions }: BoundaryConfig) => ({ resultMeta, instructions });
