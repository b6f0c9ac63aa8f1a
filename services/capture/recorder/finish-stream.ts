/** What a killed writer could not say, as the last segment of its spool that says it. Pure. */
import type { BoundaryConfig } from '../../../schemas/labels/v1.ts';
import type { EventDraft } from '../draft.ts';
import { LineWriter, prepareLines, type StreamIdentity } from '../encode.ts';
import { ChainPosition } from './chain.ts';
import { readJournal, type LeftLines } from './journal-reader.ts';
import { CRASHED, draftsOf } from './left-lines.ts';
import { parsedLine, type Line, type Segment } from './segments.ts';

export interface FinishOptions {
  readonly nowMs: () => number;
  readonly randomHex: (bytes: number) => string;
  /** How lines that are put on record here are labelled. */
  readonly boundary: BoundaryConfig | undefined;
}

export interface FinishedSegment {
  readonly file: string;
  /** All of the file. */
  readonly bytes: Uint8Array;
}

/**
 * The last segment with what is owed: lines of `journal` that are not on record, open calls as `abandoned`, the end of
 * the stream. undefined where nothing is owed. The file must be replaced as a whole: the journal is read against it.
 */
export function finishedSegment(
  segments: readonly Segment[],
  journal: Uint8Array | undefined,
  options: FinishOptions,
): FinishedSegment | undefined {
  const last = segments.at(-1);
  const before = segments.slice(0, -1).flatMap(({ lines }) => lines.map(parsedLine));
  const end = last?.lines.at(-1) ?? segments.at(-2)?.lines.at(-1);
  if (last === undefined || end === undefined || parsedLine(end)['kind'] === 'stream.close') return undefined;
  const nextSeq = last.header.firstSeq + last.lines.length;
  const left = journal === undefined ? undefined : readJournal(journal, nextSeq);
  const kept = last.lines.slice(0, Math.max(0, (left?.fromSeq ?? nextSeq) - last.header.firstSeq));
  const ending = new StreamEnding(last, kept, identityOf(parsedLine(end), last.header.stream), options);
  ending.finish([...before, ...kept.map(parsedLine)], left);
  const cut = last.lines.slice(kept.length).reduce((sum, line) => sum + line.length + 1, 0);
  const whole = last.bytes.subarray(0, last.bytes.length - cut);
  return { file: last.file, bytes: Buffer.concat([whole, ending.bytes]) };
}

class StreamEnding {
  readonly #identity: StreamIdentity;
  readonly #options: FinishOptions;
  readonly #chain: ChainPosition;
  readonly #writer = new LineWriter();

  constructor(
    { header }: Segment,
    kept: readonly Uint8Array[],
    identity: StreamIdentity,
    options: FinishOptions,
  ) {
    this.#identity = identity;
    this.#options = options;
    this.#chain = new ChainPosition(header.stream, header.firstSeq, header.prev);
    for (const line of kept) this.#chain.add(line);
  }

  get bytes(): Uint8Array {
    return this.#writer.bytes;
  }

  /** `lines`: what the spool has of the stream. */
  finish(lines: readonly Line[], left: LeftLines | undefined): void {
    const late = left === undefined ? [] : this.#add(this.#draftsOf(left, lines));
    const abandoned = openIntents([...lines, ...late]).map((intent) => this.#abandoned(intent));
    const count = this.#chain.nextSeq + abandoned.length + 1;
    const fields = { streamState: { count, reason: CRASHED } };
    this.#add([...abandoned, { kind: 'stream.close', timeMs: this.#options.nowMs(), fields }]);
  }

  #add(drafts: readonly EventDraft[]): readonly Line[] {
    return drafts
      .flatMap((draft) => prepareLines(draft))
      .map((prepared) => {
        const place = { seq: this.#chain.nextSeq, nonce: this.#options.randomHex(16) };
        const line = this.#writer.add(prepared, this.#identity, place);
        this.#chain.add(line);
        return parsedLine(line);
      });
  }

  #draftsOf(left: LeftLines, lines: readonly Line[]): readonly EventDraft[] {
    const { boundary, randomHex } = this.#options;
    const { session, agent } = this.#identity;
    const intents = new Map(
      lines.filter(({ kind }) => kind === 'call.intent').map((line) => [String(line['callId']), line]),
    );
    return draftsOf(left, { session, agent, boundary, randomHex, intents });
  }

  #abandoned(intent: Line): EventDraft {
    const fields = { ...callFields(intent), outcome: 'abandoned', labels: [CRASHED] };
    return { kind: 'call.result', timeMs: this.#options.nowMs(), fields };
  }
}

/** Those without a result. */
function openIntents(lines: readonly Line[]): readonly Line[] {
  const open = new Map<string, Line>();
  for (const line of lines) {
    const callId = typeof line['callId'] === 'string' ? line['callId'] : '';
    if (line['kind'] === 'call.intent') open.set(callId, line);
    else if (line['kind'] === 'call.result') open.delete(callId);
  }
  return [...open.values()];
}

const CALL_FIELDS =
  'callId logicalCallId traceId spanId parentSpanId server transport tool class verdict controlId'.split(' ');

function callFields(intent: Line): Record<string, unknown> {
  return Object.fromEntries(Object.entries(intent).filter(([name]) => CALL_FIELDS.includes(name)));
}

function identityOf(line: Line, stream: string): StreamIdentity {
  const text = (name: string): string | undefined =>
    typeof line[name] === 'string' ? line[name] : undefined;
  return {
    stream,
    session: text('session') ?? 'unknown',
    agent: text('agent') ?? 'unknown',
    principal: text('principal'),
    host: text('host'),
  };
}
