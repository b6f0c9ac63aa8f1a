/** What the suites of attacks share: a deployment that is put back after each, and the row that it is held to. */
import assert from 'node:assert/strict';
import { encodeEventRecord } from '../../../schemas/bus/record.ts';
import { CALLS, StreamWriter, type Sent } from '../scenario/events.ts';
import { Deployment, EVENTS, SESSION, TOPIC, type Life, type Outcome } from './deployment.ts';
import type { CopyOptions } from './deployment.ts';
import { headKeeper, plainChain, PlainRecorder, unwitnessedTree } from './peers.ts';
import { ATTACKS, type AttackId } from './table.ts';

/** Index 7 is the second event of the third request: offset 2, three events each. */
export const MIDDLE = { index: 7, offset: 2, session: SESSION };

export class Bench {
  readonly tried = new Set<AttackId>();
  readonly deployment: Deployment;
  readonly #lives: Life[] = [];

  private constructor(deployment: Deployment) {
    this.deployment = deployment;
  }

  static async open(): Promise<Bench> {
    return new Bench(await Deployment.make());
  }

  async restore(): Promise<void> {
    for (const life of this.#lives.splice(0)) await life.close();
    await this.deployment.restore();
  }

  /** A life that `restore` ends. */
  async copy(name: string, options?: CopyOptions): Promise<Life> {
    const life = await this.deployment.copy(name, options);
    this.#lives.push(life);
    return life;
  }

  /** What is found after these statements. */
  async afterSql(...statements: readonly string[]): Promise<Outcome> {
    await this.deployment.sql(...statements);
    return await (await this.deployment.sound()).verify();
  }

  /** The victim's log, as a condition. */
  get own(): string {
    return `log_id = unhex('${this.deployment.victim.logId}')`;
  }

  /** Statements that delete from all tables. */
  everywhere(where: string): string[] {
    return ['ledger', 'payloads', 'events'].map(
      (table) => `ALTER TABLE ${table} DELETE WHERE ${this.own} AND ${where}`,
    );
  }

  /** Statements that make one event look as erased ones do. */
  asErased(index: number): string[] {
    return [
      `ALTER TABLE payloads UPDATE subject = 999999 WHERE ${this.own} AND idx = ${index}`,
      `ALTER TABLE events DELETE WHERE ${this.own} AND idx = ${index}`,
    ];
  }

  async append(life: Life, sent: Sent): Promise<void> {
    const producer = await life.needBus().producer();
    const { stream, seq, line } = sent;
    const lines = [Buffer.from(line)];
    const record = encodeEventRecord({ tenant: 'default', session: SESSION, stream, firstSeq: seq, lines });
    await producer.send(TOPIC, this.deployment.victim.partition, [record]);
  }

  /** Holds what happened to the row of the table, and the place to where it was done. */
  expectRow(id: AttackId, { report, peers }: Outcome, place?: Partial<typeof MIDDLE>): void {
    this.tried.add(id);
    const row = ATTACKS.find((one) => one.id === id);
    assert.ok(row);
    const { exitCode, firstFault } = report;
    const found = { exit: exitCode, code: firstFault?.code ?? null };
    assert.deepEqual(found, row.ours, JSON.stringify(firstFault));
    for (const [name, value] of Object.entries(place ?? {}))
      assert.equal(
        firstFault?.[name as keyof typeof MIDDLE],
        value,
        `${name} of ${JSON.stringify(firstFault)}`,
      );
    assert.deepEqual(peers, { chain: row.chain, tree: row.tree, keeper: row.keeper });
  }

  /** Every row of the table that this suite has was tried. */
  expectAll(suite: 'lives' | 'rows'): void {
    const wanted = ATTACKS.filter((row) => row.suite === suite).map(({ id }) => id);
    assert.deepEqual([...this.tried].toSorted(), wanted.toSorted());
  }
}

/** The next event of the victim's stream, or one after it. */
export function nextEvent(skip = 0, more: Readonly<Record<string, unknown>> = {}): Sent {
  const writer = new StreamWriter('default', SESSION);
  for (let seq = 0; seq < EVENTS + skip; seq += 1) writer.event(CALLS.search, 0);
  return writer.event({ ...CALLS.search, more }, Date.now());
}

/** The recorders of others over the same contents; the auditor kept the head of the first `kept`. */
export function plainly(contents: readonly string[], kept: number): Outcome['peers'] {
  const recorder = new PlainRecorder();
  let keptHead = recorder.head();
  for (const [at, content] of contents.entries()) {
    if (at === kept) keptHead = recorder.head();
    recorder.append(Buffer.from(content));
  }
  const { rows } = recorder;
  return {
    chain: plainChain(rows, PlainRecorder.first),
    tree: unwitnessedTree(rows, recorder.head()),
    keeper: headKeeper(rows, recorder.head(), keptHead),
  };
}
