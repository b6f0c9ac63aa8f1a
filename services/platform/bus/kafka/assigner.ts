/** kafkajs's assigner interface over our assignment. */
import kafkajs from 'kafkajs';
import type { PartitionAssigner } from 'kafkajs';
import { assignPartitions } from '../assign.ts';

const NAME = 'tripline-rendezvous-1';

export const rendezvousAssigner: PartitionAssigner = ({ cluster }) => ({
  name: NAME,
  version: 0,
  assign: async ({ members, topics }) => {
    const counts = new Map(
      topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).length] as const),
    );
    const known = members.map(({ memberId, memberMetadata }) => ({
      id: memberId,
      topics: kafkajs.AssignerProtocol.MemberMetadata.decode(memberMetadata)?.topics ?? [],
    }));
    return [...assignPartitions(known, counts)].map(([memberId, partitions]) => {
      const assignment: Record<string, number[]> = {};
      for (const { topic, partition } of partitions) (assignment[topic] ??= []).push(partition);
      return {
        memberId,
        memberAssignment: kafkajs.AssignerProtocol.MemberAssignment.encode({
          version: 0,
          assignment,
          userData: Buffer.alloc(0),
        }),
      };
    });
  },
  protocol: ({ topics }) => ({
    name: NAME,
    metadata: kafkajs.AssignerProtocol.MemberMetadata.encode({
      version: 0,
      topics,
      userData: Buffer.alloc(0),
    }),
  }),
});
