/**
 * Consumer groups within this process: the members of a group share the partitions of their topics; who joins or leaves
 * moves as few as possible. A partition goes to its new owner only after the old one has ended its batch.
 */
import type { Clock } from '../../clock.ts';
import { assignPartitions, partitionName } from '../assign.ts';
import type { BusConsumer, ConsumeOptions, TopicPartition } from '../port.ts';
import type { Committer } from './committer.ts';
import { Lane } from './lane.ts';
import type { EmbeddedPartition } from './partition.ts';

export interface GroupDependencies {
  readonly clock: Clock;
  readonly committer: Committer;
  partitions(topic: string): readonly EmbeddedPartition[];
  committed(commitKey: string): number | undefined;
}

/** Group and topic hold no NUL (both are ours). */
export function commitKeyOf(group: string, at: TopicPartition): string {
  return `${group}\0${at.topic}\0${at.partition}`;
}

class Group {
  readonly #name: string;
  readonly #dependencies: GroupDependencies;
  readonly #members = new Map<string, ConsumeOptions>();
  readonly #lanes = new Map<string, Lane>();
  #rebalancing: Promise<void> = Promise.resolve();
  #joined = 0;

  constructor(name: string, dependencies: GroupDependencies) {
    this.#name = name;
    this.#dependencies = dependencies;
  }

  async join(options: ConsumeOptions): Promise<BusConsumer> {
    const id = `${this.#name}-${this.#joined++}`;
    this.#members.set(id, options);
    await this.#rebalance();
    return {
      assignment: () => [...this.#lanes.values()].filter((lane) => lane.memberId === id).map(({ at }) => at),
      stop: async () => {
        this.#members.delete(id);
        await this.#rebalance();
      },
    };
  }

  async stop(): Promise<void> {
    this.#members.clear();
    await this.#rebalance();
  }

  /** One at a time; each looks at the members as they are when its turn comes. */
  #rebalance(): Promise<void> {
    this.#rebalancing = this.#rebalancing.then(() => this.#settle());
    return this.#rebalancing;
  }

  async #settle(): Promise<void> {
    const members = [...this.#members].map(([id, { topics }]) => ({ id, topics }));
    const topics = new Set(members.flatMap((member) => member.topics));
    const counts = new Map(
      [...topics].map((topic) => [topic, this.#dependencies.partitions(topic).length] as const),
    );
    const owners = new Map<string, string>();
    for (const [id, partitions] of assignPartitions(members, counts))
      for (const at of partitions) owners.set(partitionName(at), id);
    const moved = [...this.#lanes].filter(([name, lane]) => owners.get(name) !== lane.memberId);
    await Promise.all(
      moved.map(async ([name, lane]) => {
        await lane.stop();
        this.#lanes.delete(name);
      }),
    );
    for (const topic of topics)
      for (const partition of this.#dependencies.partitions(topic))
        this.#open(partition, owners.get(partitionName(partition)));
  }

  #open(partition: EmbeddedPartition, memberId: string | undefined): void {
    const name = partitionName(partition);
    const options = memberId === undefined ? undefined : this.#members.get(memberId);
    if (memberId === undefined || options === undefined || this.#lanes.has(name)) return;
    const { clock, committer } = this.#dependencies;
    const key = commitKeyOf(this.#name, partition);
    this.#lanes.set(
      name,
      new Lane(memberId, partition, options, {
        clock,
        committed: () => this.#dependencies.committed(key),
        commit: (nextOffset) => committer.commit(key, nextOffset),
      }),
    );
  }
}

export class Groups {
  readonly #dependencies: GroupDependencies;
  readonly #groups = new Map<string, Group>();

  constructor(dependencies: GroupDependencies) {
    this.#dependencies = dependencies;
  }

  join(options: ConsumeOptions): Promise<BusConsumer> {
    let group = this.#groups.get(options.group);
    if (group === undefined) {
      group = new Group(options.group, this.#dependencies);
      this.#groups.set(options.group, group);
    }
    return group.join(options);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#groups.values()].map((group) => group.stop()));
  }
}
