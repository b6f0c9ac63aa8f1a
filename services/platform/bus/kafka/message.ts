/** Records between kafkajs and the port. */
import type { IHeaders, KafkaMessage, Message } from 'kafkajs';
import type { BusMessage, BusRecord, TopicPartition } from '../port.ts';

export function toKafka(partition: number, message: BusMessage): Message {
  return {
    partition,
    key: message.key === null ? null : asBuffer(message.key),
    value: message.value === null ? null : asBuffer(message.value),
    headers: { ...message.headers },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The topic's timestamps are LogAppendTime (ensureTopics sees to it), so the timestamp is the append time. */
export function fromKafka(at: TopicPartition, message: KafkaMessage): BusRecord {
  return {
    topic: at.topic,
    partition: at.partition,
    offset: Number(message.offset),
    appendMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: fromHeaders(message.headers),
  };
}

/** Without a prototype: names come from producers. A header that comes twice counts once, as its last. */
function fromHeaders(headers: IHeaders | undefined): Record<string, string> {
  const read = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers ?? {})) {
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) read[name] = typeof last === 'string' ? last : last.toString('utf8');
  }
  return read;
}
