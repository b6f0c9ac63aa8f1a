/**
 * The root log of a deployment: an epoch is cut in the signer's database, flushed, and only then signed and shown. One
 * thing happens at a time. A start does what any epoch does: it brings the files up to the state.
 */
import type { SignedHeadList } from '../../evidence/bundle.ts';
import { hashFromHex, toHex, utf8 } from '../../evidence/bytes.ts';
import { noteNameOf, rootOrigin } from '../../evidence/origin.ts';
import { decodeRootLeaf } from '../../evidence/root-leaf.ts';
import { checkpointText, parseCheckpoint, parseCheckpointText } from '../../evidence/tlog/checkpoint.ts';
import {
  formatNote,
  formatVkey,
  noteKey,
  NOTE_KEY_TYPES,
  signNote,
  type NoteKey,
} from '../../evidence/tlog/note.ts';
import { decodeBundle, parseTilePath, TILE_WIDTH, tileAt, TileTree } from '../../evidence/tlog/tiles.ts';
import type { Clock } from '../../platform/clock.ts';
import { sha256 } from '../../platform/ledger/crypto.ts';
import {
  headNotePath,
  LOG_KEYS_PATH,
  isNotBeforePath,
  isStampPath,
  notBeforePath,
  type LogCheckpoint,
  type RootSnapshot,
  type RootSource,
} from '../../platform/ledger/root-source.ts';
import type { RootLedger } from '../local-signer.ts';
import { copyRoot } from './copy.ts';
import type { Cosigner } from './cosigner.ts';
import type { RootFiles } from './files.ts';
import { CHECKPOINT_FILE, diverges, publish, readTile } from './publish.ts';

export const VKEY_FILE = 'vkey';
export const COSIGNED_FILE = 'cosigned';

export interface RootLogOptions {
  readonly deployment: string;
  readonly ledger: RootLedger;
  readonly files: RootFiles;
  readonly clock: Clock;
  /** Absent where no policy is configured: then nobody is asked. */
  readonly cosigner?: Cosigner | undefined;
  /** A command that only reads appends nothing and asks no witness. */
  readonly readOnly: boolean;
}

export interface RootSizes {
  readonly size: number;
  readonly cosigned: number;
}

export class RootLog implements RootSource {
  readonly origin: string;
  readonly key: NoteKey;
  readonly #options: RootLogOptions;
  #running: Promise<unknown> = Promise.resolve();
  #isMoved = false;
  #kept = '';

  private constructor(options: RootLogOptions) {
    this.#options = options;
    this.origin = rootOrigin(options.deployment);
    this.key = this.#keyOf(this.origin);
  }

  /** Recovers, and puts the start on record. Throws root_log_diverges where the files are not those of the state. */
  static async open(options: RootLogOptions): Promise<RootLog> {
    const log = new RootLog(options);
    await log.#exclusive(() => log.#start());
    return log;
  }

  async #start(): Promise<void> {
    const { files, ledger, readOnly } = this.#options;
    const onDisk = await files.read(CHECKPOINT_FILE);
    const shown = onDisk === undefined ? undefined : parseCheckpoint(Buffer.from(onDisk).toString());
    if (onDisk !== undefined && shown === undefined) diverges('its checkpoint cannot be read');
    // A state that was set back must not sign a second history over what was shown already.
    if (shown !== undefined && shown.size > ledger.root.tree().size)
      diverges('it is longer than what was signed');
    await files.write(VKEY_FILE, utf8(`${formatVkey(this.key)}\n`));
    if (readOnly) return this.#publish();
    await this.#cut(true);
  }

  /** What the signer signed has moved, or there is a finding: the next epoch takes it. */
  moved(): void {
    this.#isMoved = true;
  }

  sizes(): RootSizes {
    const { root } = this.#options.ledger;
    return { size: root.tree().size, cosigned: root.cosigned()?.size ?? 0 };
  }

  /** One epoch, where anything moved. */
  async epoch(): Promise<void> {
    if (!this.#isMoved || this.#options.readOnly) return;
    await this.#exclusive(() => this.#cut(false));
  }

  /** Has the newest checkpoint cosigned; answers the newest note that counts, if there is one. */
  async cosign(): Promise<string | undefined> {
    return await this.#exclusive(async () => {
      await this.#ask();
      return this.#options.ledger.root.cosigned()?.note;
    });
  }

  async settle(): Promise<RootSnapshot> {
    return await this.#exclusive(async () => {
      const { ledger, readOnly } = this.#options;
      const lists = readOnly ? ledger.signedLists() : await this.#cut(false);
      // Taken before the witnesses are asked: commits go on meanwhile, epochs do not.
      const heads = [...ledger.root.heads()];
      const asked = readOnly ? undefined : await this.#ask();
      const cosigned = ledger.root.cosigned();
      const { size } = ledger.root.tree();
      const newest = cosigned?.size === size ? cosigned.note : (asked ?? this.#note());
      const checkpoint = size === 0 ? null : newest;
      return { lists, heads, checkpoint, cosigned: cosigned?.note ?? null };
    });
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    const { files, ledger } = this.#options;
    switch (path) {
      case VKEY_FILE:
        return await files.read(path);
      case LOG_KEYS_PATH:
        return utf8(JSON.stringify(ledger.root.rotations().map(inBase64)));
      case 'latest':
        return await files.read(CHECKPOINT_FILE);
      case CHECKPOINT_FILE: {
        const cosigned = ledger.root.cosigned();
        return cosigned === undefined ? await files.read(CHECKPOINT_FILE) : utf8(cosigned.note);
      }
      default:
        if (isNotBeforePath(path) || isStampPath(path)) return await files.read(path);
        if (path.startsWith('head-note/')) return await this.#headNote(path);
        return await this.#publishedTile(path);
    }
  }

  async #publishedTile(path: string): Promise<Uint8Array | undefined> {
    const { files, ledger } = this.#options;
    const tile = parseTilePath(path);
    const most = tile && tileAt(tile.level, tile.index, ledger.root.published());
    return tile === undefined || most === undefined || tile.width > most.width
      ? undefined
      : await readTile(files, tile);
  }

  /** What is signed here is in the root log already, so that nothing new is said. */
  async #headNote(path: string): Promise<Uint8Array | undefined> {
    const { files, ledger } = this.#options;
    const index = Number(path.slice('head-note/'.length));
    if (headNotePath(index) !== path) return undefined;
    const bundle = tileAt('entries', Math.floor(index / TILE_WIDTH), ledger.root.published());
    const bytes = bundle === undefined ? undefined : await readTile(files, bundle);
    const leaf = bytes === undefined ? undefined : decodeBundle(bytes)?.[index % TILE_WIDTH];
    const head = leaf === undefined ? undefined : decodeRootLeaf(leaf);
    if (head?.type !== 'head') return undefined;
    const origin = parseCheckpointText(head.checkpoint)?.origin;
    return origin === undefined ? undefined : utf8(this.#sign(head.checkpoint, this.#keyOf(origin)));
  }

  async logCheckpoint(logId: string): Promise<LogCheckpoint | undefined> {
    const at = this.#options.ledger.root.head(logId);
    const head = at && this.#options.ledger.head(at.topic, at.partition, logId);
    if (at === undefined || head === undefined) return undefined;
    const { topic, partition } = at;
    const { origin, size } = head;
    const text = checkpointText({ origin, size, root: hashFromHex(head.root) });
    return { topic, partition, origin, size, note: this.#sign(text, this.#keyOf(origin)) };
  }

  /** The newest note that met the policy, without a policy the newest; undefined while there is none. */
  async noteToStamp(): Promise<{ readonly note: string; readonly size: number } | undefined> {
    return await this.#exclusive(() => {
      const { ledger, cosigner } = this.#options;
      const size = ledger.root.published();
      if (cosigner !== undefined) return Promise.resolve(ledger.root.cosigned());
      return Promise.resolve(size === 0 ? undefined : { note: this.#note(), size: ledger.root.tree().size });
    });
  }

  /**
   * Copies to a second place: up to the newest checkpoint that met the policy, without a policy to the newest. Answers how
   * many leaves are there then.
   */
  async copyTo(files: RootFiles): Promise<number> {
    const { ledger, cosigner } = this.#options;
    const note = await this.#exclusive(() => {
      const newest = cosigner === undefined ? this.#note() : ledger.root.cosigned()?.note;
      return Promise.resolve(ledger.root.published() > 0 ? newest : undefined);
    });
    // What is copied does not change any more, so epochs need not wait for a slow place.
    return note === undefined ? 0 : await copyRoot(this.#options.files, files, note);
  }

  /**
   * The cosigned checkpoint that leaves of the next epoch will name: it is kept before they are, so that a verifier can
   * be shown what they are later than.
   */
  async #keepCosigned(): Promise<void> {
    const { ledger, files } = this.#options;
    const note = ledger.root.cosigned()?.note;
    if (note === undefined) return;
    const name = notBeforePath(toHex(sha256(utf8(note))));
    if (name === this.#kept) return;
    if ((await files.read(name)) === undefined) await files.write(name, utf8(note));
    this.#kept = name;
  }

  async #cut(restart: boolean): Promise<readonly SignedHeadList[]> {
    await this.#keepCosigned();
    this.#isMoved = false;
    const lists = await this.#options.ledger.cutEpoch(restart).catch((error: unknown) => {
      this.#isMoved = true;
      throw error;
    });
    await this.#publish();
    return lists;
  }

  async #publish(): Promise<void> {
    const { files, ledger } = this.#options;
    const { size, root } = ledger.root.tree();
    const from = ledger.root.published();
    if (size === from) return;
    const leaves = ledger.root.leaves(from - (from % TILE_WIDTH));
    await publish(files, { from, size, root, leaves, checkpoint: this.#note() }, sha256);
    await ledger.setPublished(size);
  }

  /** The newest checkpoint with the cosignatures that it got, where anybody was asked. */
  async #ask(): Promise<string | undefined> {
    const { cosigner, ledger, files } = this.#options;
    const { size } = ledger.root.tree();
    if (cosigner === undefined || size === 0) return undefined;
    const tree = new TileTree(size, (tile) => this.#tile(tile), sha256);
    const outcome = await cosigner.round({ checkpoint: this.#note(), tree });
    if (outcome.quorum) {
      await ledger.setCosigned({ size, note: outcome.note });
      await files.write(COSIGNED_FILE, utf8(outcome.note));
    }
    return outcome.note;
  }

  async #tile(tile: Parameters<typeof readTile>[1]): Promise<Uint8Array> {
    return (await readTile(this.#options.files, tile)) ?? diverges('a tile is missing');
  }

  /** Ed25519 is deterministic: the note of a state is always the same. */
  #note(): string {
    const { size, root } = this.#options.ledger.root.tree();
    return this.#sign(checkpointText({ origin: this.origin, size, root: hashFromHex(root) }), this.key);
  }

  #sign(text: string, key: NoteKey): string {
    return formatNote({
      text,
      signatures: [signNote(text, key, (message) => this.#options.ledger.sign(message))],
    });
  }

  #keyOf(origin: string): NoteKey {
    return noteKey(noteNameOf(origin), NOTE_KEY_TYPES.ed25519, this.#options.ledger.rawPublicKey, sha256);
  }

  /** After what runs, whatever became of that. */
  #exclusive<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = this.#running.then(act, act);
    this.#running = result.catch(() => undefined);
    return result;
  }
}

function inBase64({ index, leaf }: { readonly index: number; readonly leaf: Uint8Array }) {
  return { index, leaf: Buffer.from(leaf).toString('base64') };
}
