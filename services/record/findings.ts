/** What record finds wrong with producers while it enters their lines, and the alerts that it makes of it. Pure. */
import { alertId, alertLine } from '../../detectors/engine/alert.ts';
import type { AlertBody, AlertLine, CallReference, Level } from '../../schemas/alert/v1.ts';
import { eventId, type Event } from '../../schemas/event/v1.ts';
import { toHex, type Sha256 } from '../evidence/bytes.ts';
import type { BusRecord } from '../platform/bus/port.ts';
import type { PreparedLine } from './prepare.ts';

export const FINDING_KINDS = [
  'gap',
  'equivocation',
  'bad_signature',
  'unregistered',
  'revoked',
  'unsigned',
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

export interface ProducerFinding {
  readonly kind: FindingKind;
  readonly tenant: string;
  /** What the finding is about once: a stream, or a key. */
  readonly key: Readonly<Record<string, string>>;
  readonly event: CallReference;
  readonly detail: string;
}

interface Kind {
  readonly ruleId: string;
  readonly title: string;
  readonly level: Level;
}

const KINDS: Readonly<Record<FindingKind, Kind>> = {
  gap: {
    ruleId: 'tripline.evidence-gap',
    title: 'Events of a stream are missing',
    level: 'medium',
  },
  equivocation: {
    ruleId: 'tripline.evidence-equivocation',
    title: 'A stream said two things of the same place',
    level: 'high',
  },
  bad_signature: {
    ruleId: 'tripline.signature-invalid',
    title: 'A record carries a signature that does not hold',
    level: 'high',
  },
  unregistered: {
    ruleId: 'tripline.unregistered-producer',
    title: 'Events are signed under a key that is not registered',
    level: 'medium',
  },
  revoked: {
    ruleId: 'tripline.revoked-producer',
    title: 'Events are signed under a key that was revoked',
    level: 'high',
  },
  unsigned: {
    ruleId: 'tripline.unsigned-producer',
    title: 'Events that nobody signed',
    level: 'low',
  },
};

/** Its version takes the place of a semantic hash, as for other rules that are code. */
const RULE_HASH = `${'0'.repeat(63)}1`;
/** Of one batch; what is over is counted in its metrics all the same. */
const MAX_FINDINGS = 256;

/** Where a line stands. Undefined for one that is no readable event. */
export function referenceOf(record: BusRecord, line: PreparedLine): CallReference | undefined {
  if (line.read.kind !== 'event') return undefined;
  const event: Event = line.read.event;
  const { topic, partition, offset } = record;
  return {
    step: 'event',
    eventId: eventId(event.stream, event.seq),
    topic,
    partition,
    offset,
    line: line.line,
    time: event.time,
    session: event.session,
    agent: event.agent,
    ...(event.server === undefined ? {} : { server: event.server }),
    ...(event.tool === undefined ? {} : { tool: event.tool }),
  };
}

/** Findings of a batch, each about a stream or a key once. */
export class Findings {
  readonly #found = new Map<string, ProducerFinding>();

  add(finding: ProducerFinding): void {
    if (this.#found.size < MAX_FINDINGS) {
      const name = findingName(finding);
      if (!this.#found.has(name)) this.#found.set(name, finding);
    }
  }

  list(): readonly ProducerFinding[] {
    return [...this.#found.values()];
  }
}

/** Equal for findings of which one is enough. */
export function findingName({ kind, tenant, key }: ProducerFinding): string {
  return JSON.stringify([kind, tenant, key]);
}

/** The alert's line; the same for the same finding, whenever it is made. */
export function findingLine(
  { kind, tenant, key, event, detail }: ProducerFinding,
  sha256: Sha256,
): AlertLine {
  const { ruleId, title, level } = KINDS[kind];
  const parts = [tenant, ruleId, RULE_HASH, JSON.stringify(Object.values(key)), event.eventId];
  const body: AlertBody = {
    id: alertId(parts, sha256),
    ruleId,
    ruleHash: RULE_HASH,
    title,
    level,
    mode: 'alert',
    tags: ['evidence'],
    scope: 'session',
    key: { ...key },
    timeBasis: 'append',
    calls: [event],
    summary: detail.slice(0, 2048),
  };
  return alertLine(body);
}

/** Key of a signer's finding. */
export function signerKey(keyId: Uint8Array): Readonly<Record<string, string>> {
  return { key: toHex(keyId) };
}
