/** Topics on the brokers: made with the settings that the evidence needs, and checked where they exist. */
import type { Admin } from 'kafkajs';
import kafkajs from 'kafkajs';
import { TriplineError } from '../../../../schemas/errors.ts';
import type { TopicSpec } from '../../../../schemas/topics.ts';
import { toBusError } from './client.ts';

/** Room for a full request of the producer (1 MB) and its framing. */
const MAX_BATCH_BYTES = 2 * 1024 * 1024;
const CREATE_TIMEOUT_MS = 15_000;
const TIMESTAMP_TYPE = 'message.timestamp.type';
const LOG_APPEND_TIME = 'LogAppendTime';

export interface WantedTopic {
  readonly spec: TopicSpec;
  /** Name on the brokers. */
  readonly name: string;
  readonly partitions: number;
}

/** Throws bus_partition_mismatch for another count, bus_failed for a topic whose timestamps come from producers. */
export async function ensureKafkaTopics(
  admin: Admin,
  wanted: readonly WantedTopic[],
  replicationFactor: number,
): Promise<void> {
  try {
    const present = new Set(await admin.listTopics());
    const missing = wanted.filter(({ name }) => !present.has(name));
    if (missing.length > 0)
      // Another process may make them at the same time: kafkajs answers false for that.
      await admin.createTopics({
        waitForLeaders: true,
        timeout: CREATE_TIMEOUT_MS,
        topics: missing.map((topic) => ({
          topic: topic.name,
          numPartitions: topic.partitions,
          replicationFactor,
          configEntries: settingsOf(topic.spec, replicationFactor),
        })),
      });
    await check(admin, wanted);
  } catch (error) {
    throw toBusError(error);
  }
}

function settingsOf(spec: TopicSpec, replicationFactor: number): { name: string; value: string }[] {
  const settings: Record<string, string> = {
    'cleanup.policy': spec.cleanup,
    'retention.ms': String(spec.retentionMs ?? -1),
    [TIMESTAMP_TYPE]: LOG_APPEND_TIME,
    'max.message.bytes': String(MAX_BATCH_BYTES),
    'min.insync.replicas': String(Math.max(1, replicationFactor - 1)),
    'unclean.leader.election.enable': 'false',
  };
  return Object.entries(settings).map(([name, value]) => ({ name, value }));
}

async function check(admin: Admin, wanted: readonly WantedTopic[]): Promise<void> {
  const { topics } = await admin.fetchTopicMetadata({ topics: wanted.map(({ name }) => name) });
  for (const { name, partitions } of wanted) {
    const found = topics.find((topic) => topic.name === name)?.partitions.length ?? 0;
    if (found !== partitions)
      throw new TriplineError(
        'bus_partition_mismatch',
        `${name} has ${found} partitions, ${partitions} are configured.`,
      );
  }
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: wanted.map(({ name }) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name,
      configNames: [TIMESTAMP_TYPE],
    })),
  });
  for (const { resourceName, configEntries } of resources)
    if (
      configEntries.some(
        (entry) => entry.configName === TIMESTAMP_TYPE && entry.configValue !== LOG_APPEND_TIME,
      )
    )
      throw new TriplineError(
        'bus_failed',
        `${resourceName}: ${TIMESTAMP_TYPE} must be ${LOG_APPEND_TIME}, else producers set the append time.`,
      );
}
