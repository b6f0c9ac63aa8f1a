/** Asks all witnesses of the policy for their cosignatures; keeps and raises what a witness will not cosign. */
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { utf8, type EvidenceCrypto } from '../../evidence/bytes.ts';
import { formatNote } from '../../evidence/tlog/note.ts';
import { parseCheckpoint } from '../../evidence/tlog/checkpoint.ts';
import { cosigners, type Policy } from '../../evidence/tlog/policy.ts';
import type { RootFiles } from './files.ts';
import { WitnessClient, type Submission, type WitnessAnswer } from './witness-client.ts';

export interface Fork {
  /** Name of the witness in the policy. */
  readonly witness: string;
  readonly status: number;
  readonly size: number;
  /** File below the root log's directory. */
  readonly file: string;
}

export interface CosignerOptions {
  readonly policy: Policy;
  readonly crypto: EvidenceCrypto;
  readonly timeoutMs: number;
  readonly files: RootFiles;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Once a fork, not once a round. */
  readonly onFork: (fork: Fork) => Promise<void>;
  readonly onAnswer?: (witness: string, kind: WitnessAnswer['kind']) => void;
}

export interface CosignOutcome {
  /** The checkpoint with the cosignatures that came. */
  readonly note: string;
  readonly quorum: boolean;
}

export class Cosigner {
  readonly #options: CosignerOptions;
  readonly #clients: readonly WitnessClient[];
  readonly #raised = new Set<string>();
  readonly #told = new Map<string, string>();

  constructor(options: CosignerOptions) {
    this.#options = options;
    this.#clients = options.policy.witnesses.flatMap((witness) => {
      const { url } = witness;
      return url === undefined ? [] : [new WitnessClient({ ...witness, url }, options)];
    });
  }

  /** Witnesses that hold another history than ours. */
  forks(): readonly string[] {
    return [...this.#raised];
  }

  /** All witnesses at once; as long as the slowest, at most its timeout twice. */
  async round(submission: Submission): Promise<CosignOutcome> {
    const answers = await Promise.all(
      this.#clients.map(async (client) => ({
        name: client.witness.name,
        answer: await client.submit(submission, this.#options.signal),
      })),
    );
    for (const { name, answer } of answers) await this.#note(name, answer, submission);
    const signatures = answers.flatMap(({ answer }) =>
      answer.kind === 'cosigned' ? [answer.signature] : [],
    );
    const own = parseCheckpoint(submission.checkpoint)?.note;
    if (own === undefined) throw new RangeError('our own checkpoint cannot be read');
    const note = { text: own.text, signatures: [...own.signatures, ...signatures] };
    const { quorum } = cosigners(note, this.#options.policy, this.#options.crypto);
    return { note: formatNote(note), quorum };
  }

  async #note(name: string, answer: WitnessAnswer, { tree }: Submission): Promise<void> {
    const { log, onAnswer } = this.#options;
    onAnswer?.(name, answer.kind);
    if (answer.kind === 'fork') return await this.#keep(name, answer, tree.size);
    const before = this.#told.get(name);
    this.#told.set(name, answer.kind);
    if (answer.kind === 'cosigned') {
      this.#raised.delete(name);
      if (before !== undefined && before !== 'cosigned')
        log.info({ witness: name }, 'the witness cosigns again');
      return;
    }
    // Once, not every ten seconds.
    if (before !== answer.kind) log.warn({ witness: name, answer }, 'the witness does not cosign');
  }

  async #keep(name: string, fork: WitnessAnswer & { kind: 'fork' }, size: number): Promise<void> {
    // Once until it cosigns again, whatever else it answers: what a witness says must not fill the disk.
    if (this.#raised.has(name)) return;
    const { files, log, onFork } = this.#options;
    const { status, request, answer } = fork;
    const digest = createHash('sha256').update(`${name}\n${status}\n${answer}`).digest('hex').slice(0, 16);
    const file = `forks/${digest}`;
    // What was sent is signed by us, the answer is the witness's: both are the proof.
    await files.write(file, utf8(`witness ${name}\nstatus ${status}\n\n${answer}\n\n${request}`));
    log.error({ witness: name, status, size, file }, 'a witness holds another history of the root log');
    await onFork({ witness: name, status, size, file });
    this.#raised.add(name);
  }
}
