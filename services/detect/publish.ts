/** Findings and facts → records on the bus. Both are at least once: ids and positions make repeats harmless. */
import { encodeEventRecord, partitionFor, recordKey } from '../../schemas/bus/record.ts';
import { FORMAT_VERDICT, HEADERS, TOPICS } from '../../schemas/topics.ts';
import { alertBody, alertEntity, alertLine, type Sha256 } from '../../detectors/engine/alert.ts';
import type { Finding } from '../../detectors/engine/finding.ts';
import type { Bus, BusMessage, BusProducer } from '../platform/bus/port.ts';
import { FORMAT_FACTS, FORMAT_WATERMARK, type Watermark } from './facts.ts';
import type { HeldVerdict } from './holds.ts';
import type { TenantFact } from './step.ts';

const encoder = new TextEncoder();
const MAX_FACTS_PER_MESSAGE = 64;
const MAX_FACTS_BYTES = 512 * 1024;

/** Messages by partition, in order. */
class Outgoing {
  private readonly byPartition = new Map<number, BusMessage[]>();

  add(partition: number, message: BusMessage): void {
    const messages = this.byPartition.get(partition);
    if (messages === undefined) this.byPartition.set(partition, [message]);
    else messages.push(message);
  }

  async send(producer: BusProducer, topic: string): Promise<void> {
    await Promise.all(
      [...this.byPartition].map(([partition, messages]) => producer.send(topic, partition, messages)),
    );
  }
}

/** Publishes alerts; resolves when they are durable. Answers how many of each level. */
export async function publishAlerts(
  bus: Bus,
  producer: BusProducer,
  findings: readonly Finding[],
  sha256: Sha256,
): Promise<readonly { readonly ruleId: string; readonly level: string }[]> {
  const topic = TOPICS.alerts.name;
  const outgoing = new Outgoing();
  const told = findings.map((finding) => {
    const body = alertBody(finding, sha256);
    const line = alertLine(body);
    const message = encodeEventRecord({
      tenant: finding.tenant,
      session: alertEntity(body),
      stream: line.stream,
      firstSeq: 0,
      lines: [encoder.encode(JSON.stringify(line))],
    });
    const key = message.key ?? recordKey(finding.tenant, alertEntity(body));
    outgoing.add(partitionFor(key, bus.partitionCount(topic)), message);
    return { ruleId: body.ruleId, level: body.level };
  });
  await outgoing.send(producer, topic);
  return told;
}

/** A host that has given up waiting needs no verdict: a log that is read again sends none. */
const VERDICT_GRACE_MS = 1_000;

/** Sends verdicts on calls that are held back at this time. */
export async function publishVerdicts(
  producer: BusProducer,
  verdicts: readonly HeldVerdict[],
  nowMs: number,
): Promise<void> {
  const messages = verdicts
    .filter(({ appendMs, budgetMs }) => nowMs <= appendMs + budgetMs + VERDICT_GRACE_MS)
    .map(({ tenant, verdict }) => ({
      key: null,
      value: encoder.encode(JSON.stringify(verdict)),
      headers: { [HEADERS.format]: FORMAT_VERDICT, [HEADERS.tenant]: tenant },
    }));
  if (messages.length > 0) await producer.send(TOPICS.verdicts.name, 0, messages);
}

function factMessages(tenant: string, lines: readonly string[]): BusMessage[] {
  const messages: BusMessage[] = [];
  let part: string[] = [];
  let bytes = 0;
  const flush = (): void => {
    if (part.length === 0) return;
    const headers = { [HEADERS.format]: FORMAT_FACTS, [HEADERS.tenant]: tenant };
    messages.push({ key: encoder.encode(tenant), value: encoder.encode(part.join('\n')), headers });
    part = [];
    bytes = 0;
  };
  for (const line of lines) {
    // At most three bytes a UTF-16 unit.
    if (part.length >= MAX_FACTS_PER_MESSAGE || bytes + line.length * 3 > MAX_FACTS_BYTES) flush();
    part.push(line);
    bytes += line.length * 3;
  }
  flush();
  return messages;
}

interface TenantRun {
  readonly tenant: string;
  readonly lines: string[];
}

/**
 * Facts by partition, in the order of the source, cut where the tenant changes. Stage two drops what is not above the
 * last position of a source, so tenants that share a partition must not overtake each other.
 */
export function runsByPartition(
  facts: readonly TenantFact[],
  partitionCount: number,
): ReadonlyMap<number, readonly TenantRun[]> {
  const byPartition = new Map<number, TenantRun[]>();
  for (const { tenant, fact } of facts) {
    const partition = partitionFor(encoder.encode(tenant), partitionCount);
    const runs = byPartition.get(partition) ?? [];
    byPartition.set(partition, runs);
    const line = JSON.stringify(fact);
    const last = runs.at(-1);
    if (last?.tenant === tenant) last.lines.push(line);
    else runs.push({ tenant, lines: [line] });
  }
  return byPartition;
}

/** Sends facts to their tenants' partitions, then the watermark to all: facts below a watermark always stand before it. */
export async function publishFacts(
  bus: Bus,
  producer: BusProducer,
  facts: readonly TenantFact[],
  mark: Watermark,
): Promise<void> {
  const topic = TOPICS.facts.name;
  const count = bus.partitionCount(topic);
  const outgoing = new Outgoing();
  for (const [partition, runs] of runsByPartition(facts, count))
    for (const { tenant, lines } of runs)
      for (const message of factMessages(tenant, lines)) outgoing.add(partition, message);
  const value = encoder.encode(JSON.stringify(mark));
  for (let partition = 0; partition < count; partition++) {
    outgoing.add(partition, { key: null, value, headers: { [HEADERS.format]: FORMAT_WATERMARK } });
  }
  await outgoing.send(producer, topic);
}
