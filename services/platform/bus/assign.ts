/** Who of a group gets which partition: pure, the same answer on every machine. */
import { murmur2 } from '../../../schemas/bus/record.ts';
import type { TopicPartition } from './port.ts';

const encoder = new TextEncoder();

export interface GroupMember {
  readonly id: string;
  readonly topics: readonly string[];
}

/** Names a partition as a map key. */
export function partitionName(at: TopicPartition): string {
  return `${at.topic}/${at.partition}`;
}

/**
 * Highest-random-weight (rendezvous) assignment with a ceiling of ceil(partitions / members) a topic: even, and a member
 * that joins or leaves moves few partitions of the others. Members that did not subscribe a topic get none of it; a
 * partition that nobody subscribed is absent from the answer.
 */
export function assignPartitions(
  members: readonly GroupMember[],
  partitionsByTopic: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const assigned = new Map<string, TopicPartition[]>(members.map((member) => [member.id, []]));
  for (const [topic, count] of partitionsByTopic) {
    const eligible = members.filter((member) => member.topics.includes(topic)).map((member) => member.id);
    if (eligible.length === 0) continue;
    const room = new Map(eligible.map((id) => [id, Math.ceil(count / eligible.length)]));
    for (let partition = 0; partition < count; partition++) {
      const winner = heaviest(eligible, room, `${topic}/${partition}`);
      room.set(winner, (room.get(winner) ?? 0) - 1);
      assigned.get(winner)?.push({ topic, partition });
    }
  }
  return assigned;
}

function heaviest(ids: readonly string[], room: ReadonlyMap<string, number>, name: string): string {
  let best = '';
  let bestWeight = -1;
  for (const id of ids) {
    if ((room.get(id) ?? 0) <= 0) continue;
    const weight = murmur2(encoder.encode(`${id}\0${name}`)) >>> 0;
    if (weight > bestWeight || (weight === bestWeight && id < best)) {
      best = id;
      bestWeight = weight;
    }
  }
  return best;
}
