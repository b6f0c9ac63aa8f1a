/**
 * Tells of what record finds wrong with producers: alerts, before the batch is signed, so that a crash repeats them (ids
 * follow from the finding). Whether a key was registered is not in the ledger's entries; it is asked of the KEY entries
 * a moment later, when a registration that came with the first events has been entered too. The verifier decides for good.
 */
import { LRUCache } from 'lru-cache';
import { encodeEventRecord, partitionFor, recordKey } from '../../schemas/bus/record.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { readAgentKeys, type AgentKeyState } from '../platform/ledger/agent-keys.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import type { StepContext } from '../platform/step.ts';
import { findingLine, findingName, type ProducerFinding } from './findings.ts';

/** As long as record takes at most, where all goes well, to enter what the audit topic held before. */
const JUDGE_AFTER_MS = 5_000;
const MAX_WAITING = 1_000;
const MAX_TOLD = 20_000;

type WatchContext = Pick<StepContext, 'bus' | 'producer' | 'store' | 'log' | 'config'>;

export class ProducerWatch {
  readonly #context: WatchContext;
  /** Streams and keys that were told of: one alert each while they are remembered. */
  readonly #told = new LRUCache<string, true>({ max: MAX_TOLD });
  readonly #waiting = new Map<string, ProducerFinding>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(context: WatchContext) {
    this.#context = context;
  }

  /** Resolves when what must be told is durable on the bus. Rejects as the bus does. */
  async tell(findings: readonly ProducerFinding[]): Promise<void> {
    const now: ProducerFinding[] = [];
    for (const finding of findings) {
      if (this.#told.has(findingName(finding))) continue;
      switch (finding.kind) {
        case 'unsigned':
          if (this.#context.config.producers.unsigned === 'alert') now.push(finding);
          break;
        case 'unregistered':
        case 'revoked':
          this.#wait(finding);
          break;
        case 'gap':
        case 'equivocation':
        case 'bad_signature':
          now.push(finding);
          break;
      }
    }
    await this.#publish(now);
  }

  #wait(finding: ProducerFinding): void {
    if (this.#waiting.size < MAX_WAITING) this.#waiting.set(findingName(finding), finding);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#judge().catch((error: unknown) =>
        this.#context.log.warn({ err: error }, 'keys of producers could not be judged'),
      );
    }, JUDGE_AFTER_MS).unref();
  }

  async #judge(): Promise<void> {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const keys = await readAgentKeys(this.#context.store, undefined);
    const known = new Map(keys.map((key) => [`${key.keyId}${key.tenant}`, key]));
    await this.#publish(
      waiting.flatMap((finding) => {
        const key = known.get(`${finding.key['key'] ?? ''}${finding.tenant}`);
        return judged(finding, key) ?? [];
      }),
    );
  }

  async #publish(findings: readonly ProducerFinding[]): Promise<void> {
    const { bus, producer } = this.#context;
    const topic = TOPICS.alerts.name;
    await Promise.all(
      findings.map(async (finding) => {
        const line = findingLine(finding, sha256);
        const { tenant } = finding;
        const session = line.session;
        const lines = [Buffer.from(JSON.stringify(line))];
        const message = encodeEventRecord({ tenant, session, stream: line.stream, firstSeq: 0, lines });
        const partition = partitionFor(recordKey(tenant, session), bus.partitionCount(topic));
        await producer.send(topic, partition, [message]);
        this.#told.set(findingName(finding), true);
      }),
    );
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
  }
}

/** What is to be told of a key that signed; undefined where it counts. */
function judged(finding: ProducerFinding, key: AgentKeyState | undefined): ProducerFinding | undefined {
  if (key === undefined) return { ...finding, kind: 'unregistered' };
  return key.revokedMs === undefined ? undefined : { ...finding, kind: 'revoked' };
}
