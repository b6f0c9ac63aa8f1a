/** Event records for stage one from a few words, and the alerts that came of them. */
import { createHash } from 'node:crypto';
import { FORMAT_EVENTS, FORMAT_TICK, HEADERS, TOPICS } from '../../../schemas/topics.ts';
import { alertBody } from '../../../detectors/engine/alert.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import type { SourceRecord } from '../../../services/detect/step.ts';

export interface EventSpec {
  /** Names the writer: 32 hex digits are made of it. */
  readonly writer: string;
  readonly seq?: number;
  readonly session: string;
  readonly agent?: string;
  readonly tenant?: string;
  readonly tool: string;
  readonly call?: string;
  readonly kind?: 'call.intent' | 'call.result';
  /** What the producer claims. */
  readonly timeMs: number;
  readonly appendMs: number;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
}

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const encoder = new TextEncoder();

export const streamOf = (writer: string): string =>
  createHash('sha256').update(writer).digest('hex').slice(0, 32);

export function recordFrom(spec: EventSpec, at: { partition?: number; offset: number }): SourceRecord {
  const stream = streamOf(spec.writer);
  const { seq = 0, kind = 'call.intent', agent = 'a', args = {} } = spec;
  const body = {
    v: 1,
    kind,
    stream,
    seq,
    nonce: '0'.repeat(32),
    time: new Date(spec.timeMs).toISOString(),
    session: spec.session,
    agent,
    callId: spec.call ?? `c${seq}`,
    tool: spec.tool,
    args,
    ...(kind === 'call.result' ? { outcome: 'ok', result: spec.result ?? null } : {}),
  };
  return {
    topic: TOPICS.toolcalls.name,
    partition: at.partition ?? 0,
    offset: at.offset,
    appendMs: spec.appendMs,
    headers: {
      [HEADERS.format]: FORMAT_EVENTS,
      [HEADERS.tenant]: spec.tenant ?? 'default',
      [HEADERS.stream]: stream,
      [HEADERS.firstSeq]: String(seq),
    },
    value: encoder.encode(JSON.stringify(body)),
  };
}

export function tickAt(appendMs: number, at: { partition?: number; offset: number }): SourceRecord {
  return {
    topic: TOPICS.toolcalls.name,
    partition: at.partition ?? 0,
    offset: at.offset,
    appendMs,
    headers: { [HEADERS.format]: FORMAT_TICK },
    value: new Uint8Array(0),
  };
}

/** Rule, time basis and the calls, the completing one last. */
export function toldBy(findings: readonly Finding[]): string[] {
  return findings.flatMap((finding) => {
    if (finding.kind !== 'match') return [];
    const { ruleId, timeBasis, calls } = alertBody(finding, sha256);
    return [`${ruleId} ${timeBasis} ${calls.map((call) => call.eventId.slice(0, 8)).join(' ')}`];
  });
}

/** Rule and id of the alerts of rules; what says that coverage was lost is left out, it is told once an hour. */
export function idsOf(findings: readonly Finding[]): string[] {
  return findings.flatMap((finding) =>
    finding.kind === 'match' ? [`${finding.rule.id} ${alertBody(finding, sha256).id}`] : [],
  );
}
