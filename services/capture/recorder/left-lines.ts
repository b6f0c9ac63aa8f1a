/**
 * Drafts of lines that a killed process had let go and not looked at: the same observer looks at them now, with the calls
 * that were open. What only its life knew is missing: definitions of tools, and what the peers had said of themselves.
 */
import type { BoundaryConfig } from '../../../schemas/labels/v1.ts';
import { TRANSPORTS } from '../../../schemas/event/v1.ts';
import type { EventDraft } from '../draft.ts';
import type { CallAbout, Exchange } from '../exchange.ts';
import { Observer } from '../observer.ts';
import { randomSpans } from '../spans.ts';
import { sha256Hex } from './chain.ts';
import type { LeftLines } from './journal-reader.ts';
import type { JournalledLine, OpenCall } from './line-parts.ts';
import type { Line } from './segments.ts';

export interface LeftLinesOptions {
  readonly session: string;
  readonly agent: string;
  readonly boundary: BoundaryConfig | undefined;
  readonly randomHex: (bytes: number) => string;
  /** Intents of the spool by their call id. */
  readonly intents: ReadonlyMap<string, Line>;
}

/** What stands on every event that its own writer did not put on record. */
export const CRASHED = 'writer_crashed';

/** In the order of the wire, each with the time at which its line went on. */
export function draftsOf(left: LeftLines, options: LeftLinesOptions): readonly EventDraft[] {
  const looking = newLook(left, options);
  for (const { key, callId } of openCallsAfter(left, options)) looking.resume(key, callId);
  return left.lines.flatMap((gone) => looking.at(gone).filter(isNews).map(crashed));
}

/**
 * The calls that waited for their answers when the killed process looked last. What it made of the lines before is on
 * record under ids that only it knew: an intent is that of the same tool at the same time, the last ones first.
 */
function openCallsAfter(left: LeftLines, options: LeftLinesOptions): readonly OpenCall[] {
  if (left.before.length === 0) return left.openCalls;
  const looking = newLook(left, options);
  for (const { key, callId } of left.openCalls) looking.resume(key, callId);
  const opened = left.before.flatMap((gone) => looking.at(gone)).filter(({ kind }) => kind === 'call.intent');
  const onRecord = [...options.intents.values()].toReversed();
  let next = 0;
  const ids = new Map<unknown, string>();
  for (const { timeMs, fields } of opened.toReversed()) {
    const found = onRecord.findIndex(
      (intent, at) =>
        at >= next && intent['tool'] === fields['tool'] && Date.parse(String(intent['time'])) === timeMs,
    );
    if (found === -1) continue;
    ids.set(fields['callId'], String(onRecord[found]?.['callId']));
    next = found + 1;
  }
  return looking.openCalls().map(({ key, callId }) => ({ key, callId: ids.get(callId) ?? callId }));
}

interface Look {
  resume(key: string, callId: string): void;
  at(gone: JournalledLine): readonly EventDraft[];
  openCalls(): readonly OpenCall[];
}

function newLook(left: LeftLines, options: LeftLinesOptions): Look {
  let timeMs = 0;
  const observer = newObserver(left, options, () => timeMs);
  return {
    resume: (key, callId) => {
      const intent = options.intents.get(callId);
      if (intent !== undefined) observer.resume(openExchange(key, intent));
    },
    at: (gone) => {
      ({ timeMs } = gone);
      return observer.observe(gone.direction, gone.line, gone.scope).drafts;
    },
    openCalls: () => observer.openCalls(Number.POSITIVE_INFINITY),
  };
}

function newObserver({ names }: LeftLines, options: LeftLinesOptions, nowMs: () => number): Observer {
  const { session, agent, boundary, randomHex } = options;
  return new Observer({
    server: names.server,
    transport: TRANSPORTS.find((transport) => transport === names.transport) ?? 'other',
    agent,
    session,
    clock: { nowMs, monotonicMs: nowMs },
    sha256Hex,
    randomHex,
    spans: randomSpans(randomHex),
    // Lines go on before they are looked at only where every call is allowed.
    decide: () => ({ kind: 'allow' }),
    mappings: () => [],
    injectTrace: false,
    callTimeoutMs: Number.POSITIVE_INFINITY,
    maxPendingCalls: Number.POSITIVE_INFINITY,
    boundary: () => boundary,
  });
}

/** An observer that begins in the midst takes for news what has been said before. */
const isNews = ({ kind }: EventDraft): boolean => kind !== 'peer.info';

function crashed(draft: EventDraft): EventDraft {
  const labels = (draft.fields['labels'] as readonly string[] | undefined) ?? [];
  return { ...draft, fields: { ...draft.fields, labels: [...labels, CRASHED] } };
}

/** The call as its intent on record tells it. */
function openExchange(key: string, intent: Line): Exchange {
  const text = (name: string): string | undefined =>
    typeof intent[name] === 'string' ? intent[name] : undefined;
  const callId = text('callId') ?? '';
  const about: CallAbout = {
    kind: 'call',
    tool: text('tool') ?? '',
    class: text('class') ?? 'unknown',
    span: {
      traceId: text('traceId') ?? '',
      spanId: text('spanId') ?? '',
      flags: '01',
      end: () => undefined,
    },
    parentSpanId: text('parentSpanId'),
    decisionId: text('decisionId'),
    definition: undefined,
    verdict: text('verdict') ?? 'allow',
    controlId: undefined,
  };
  return {
    key,
    direction: 'to_server',
    callId,
    logicalCallId: text('logicalCallId') ?? callId,
    startedAtMs: Date.parse(text('time') ?? ''),
    about,
    mcp: {},
    progressKey: undefined,
    progress: { count: 0 },
    heldBack: undefined,
    hosts: [],
    hold: undefined,
    ended: false,
  };
}
