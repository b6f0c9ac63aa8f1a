/** Calls of a session in order, each a bar on the session's time axis; a call opens to what is on record about it. */
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import type { Call, CallPolicy, Stream } from '../api/types.ts';
import { ClassBadge, LabelBadges, OutcomeBadge, VerdictBadge } from '../parts/badges.tsx';
import { clockTime, duration, unixMs } from '../parts/time.ts';
import { Hash, Untrusted } from '../parts/untrusted.tsx';

const MAX_CALLS_SHOWN = 500;

interface TimelineProps {
  readonly calls: readonly Call[];
  readonly streams: readonly Stream[];
  /** Step label by event id. */
  readonly marks: ReadonlyMap<string, string>;
  /** Event whose call is opened and focused; '' for none. */
  readonly focusOn: string;
}

interface Axis {
  readonly fromMs: number;
  readonly spanMs: number;
}

function axisOf(calls: readonly Call[]): Axis {
  let fromMs = Number.POSITIVE_INFINITY;
  let toMs = Number.NEGATIVE_INFINITY;
  for (const call of calls) {
    const at = unixMs(call.time);
    if (!Number.isFinite(at)) continue;
    fromMs = Math.min(fromMs, at);
    toMs = Math.max(toMs, at + (call.durationMs ?? 0));
  }
  if (!Number.isFinite(fromMs)) return { fromMs: 0, spanMs: 1 };
  return { fromMs, spanMs: Math.max(1, toMs - fromMs) };
}

export function Timeline({ calls, streams, marks, focusOn }: TimelineProps): ReactNode {
  const axis = useMemo(() => axisOf(calls), [calls]);
  const list = useRef<HTMLOListElement>(null);
  const byStream = useMemo(() => new Map(streams.map((one) => [one.stream, one])), [streams]);
  const shown = calls.slice(0, MAX_CALLS_SHOWN);
  useEffect(() => {
    const target = list.current?.querySelector<HTMLElement>('[data-focus="true"]');
    target?.scrollIntoView({ block: 'center' });
    target?.focus({ preventScroll: true });
  }, [focusOn]);
  return (
    <div className="timeline">
      <h2 id="timeline-title">Timeline</h2>
      <p className="faint">
        {shown.length} of {calls.length} calls over {duration(axis.spanMs)}. ↑ ↓ walk, Enter opens.
      </p>
      <ol ref={list} aria-labelledby="timeline-title">
        {shown.map((call, index) => (
          <TimelineCall
            key={`${call.callId}-${index}`}
            call={call}
            axis={axis}
            producer={producerText(byStream.get(call.stream))}
            mark={markOf(call, marks)}
            isFocus={isNamed(call, focusOn)}
          />
        ))}
      </ol>
    </div>
  );
}

function isNamed(call: Call, id: string): boolean {
  return id !== '' && (call.intentId === id || call.resultId === id);
}

function markOf(call: Call, marks: ReadonlyMap<string, string>): string {
  return marks.get(call.intentId) ?? marks.get(call.resultId) ?? '';
}

interface TimelineCallProps {
  readonly call: Call;
  readonly axis: Axis;
  readonly producer: string;
  readonly mark: string;
  readonly isFocus: boolean;
}

function TimelineCall({ call, axis, producer, mark, isFocus }: TimelineCallProps): ReactNode {
  const [isOpen, setOpen] = useState(isFocus);
  const classes = ['call', mark === '' ? '' : 'marked', call.outcome === 'refused' ? 'refused' : ''].join(
    ' ',
  );
  return (
    <li className={classes}>
      <button
        type="button"
        className="call-head"
        aria-expanded={isOpen}
        data-focus={isFocus}
        onClick={() => setOpen(!isOpen)}
        onKeyDown={walk}
      >
        <span className="mono faint call-time">
          <Untrusted value={clockTime(call.time)} maxLength={16} folded />
        </span>
        <span className="call-name">
          {mark === '' ? null : (
            <span className="mark">
              step <Untrusted value={mark} maxLength={24} folded />
            </span>
          )}
          <span className="faint">
            <Untrusted value={call.server} maxLength={20} folded /> /{' '}
          </span>
          <strong className="tool">
            <Untrusted value={call.tool} maxLength={40} folded />
          </strong>
          {call.destHost === '' ? null : (
            <span className="call-dest">
              → <Untrusted value={call.destHost} maxLength={36} folded />
            </span>
          )}
          <VerdictBadge verdict={call.verdict} rule={call.policy?.rule ?? ''} />
          <LabelBadges trust={call.trust} labels={call.labels} />
        </span>
        <ClassBadge value={call.toolClass} />
        <Bar call={call} axis={axis} />
        <span className="mono call-duration">
          {call.durationMs === null ? '—' : duration(call.durationMs)}
        </span>
        <OutcomeBadge value={call.outcome} />
      </button>
      {isOpen ? <CallFacts call={call} producer={producer} /> : null}
    </li>
  );
}

function Bar({ call, axis }: { readonly call: Call; readonly axis: Axis }): ReactNode {
  const at = unixMs(call.time);
  const left = Number.isFinite(at) ? ((at - axis.fromMs) / axis.spanMs) * 100 : 0;
  const width = Math.max(0.8, ((call.durationMs ?? 0) / axis.spanMs) * 100);
  return (
    <span className="track" aria-hidden="true">
      <span className="bar" style={{ left: `${Math.min(left, 99.2)}%`, width: `${Math.min(width, 100)}%` }} />
    </span>
  );
}

function walk(event: KeyboardEvent<HTMLButtonElement>): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0) return;
  const heads = [...(event.currentTarget.closest('ol')?.querySelectorAll<HTMLElement>('.call-head') ?? [])];
  const target = heads[heads.indexOf(event.currentTarget) + step];
  if (target === undefined) return;
  event.preventDefault();
  target.focus();
}

/** Who vouches for what a stream says; the ledger's flags, which `verify` holds against the signatures. */
export function producerText(stream: Stream | undefined): string {
  if (stream === undefined) return '';
  const { entries, signed, keyIds } = stream;
  if (signed === 0) return 'unsigned: the service vouches for what it was sent';
  const keys = keyIds.map((id) => id.slice(0, 12)).join(', ');
  return signed === entries
    ? `signed with key ${keys}`
    : `${signed} of ${entries} events signed with key ${keys}`;
}

function policyText(policy: CallPolicy | null): string {
  if (policy === null) return '';
  const { id, version, mode, effect, rule } = policy;
  return `${id} version ${version}, mode ${mode}${effect === '' ? '' : `: ${effect}`}${rule === '' ? '' : ` by ${rule}`}`;
}

function CallFacts({ call, producer }: { readonly call: Call; readonly producer: string }): ReactNode {
  return (
    <dl className="facts call-facts">
      <Fact name="Call id" value={call.callId} />
      <Fact name="Agent" value={call.agent} />
      <Fact name="Trace" value={call.traceId} hash />
      <Fact name="Span" value={call.spanId} hash />
      <Fact name="Arguments SHA-256" value={call.argsHash} hash />
      <Fact name="Result SHA-256" value={call.resultHash} hash />
      <Fact
        name="Result size"
        value={call.resultBytes === null ? '' : `${call.resultBytes.toLocaleString('en')} bytes`}
      />
      <Fact name="Trust of the output" value={call.trust} />
      <Fact name="Labels of the arguments" value={call.argsLabels.join(', ')} />
      <Fact name="Labels of the result" value={call.resultLabels.join(', ')} />
      <Fact
        name="Labels"
        value={call.argsLabels.length + call.resultLabels.length > 0 ? '' : call.labels.join(', ')}
      />
      <Fact name="Verdict of the host" value={call.verdict} />
      <Fact name="Policy" value={policyText(call.policy)} />
      <Fact name="Policy SHA-256" value={call.policy?.hash ?? ''} hash />
      <Fact name="Kill switch" value={call.controlId} />
      <Fact name="Approval" value={call.approvalId} />
      <Fact name="Producer" value={producer} />
      <Fact name="Findings" value={call.findings.join(', ')} />
      <Fact name="Intent event" value={call.intentId} hash />
      <Fact name="Result event" value={call.resultId} hash />
    </dl>
  );
}

function Fact({
  name,
  value,
  hash = false,
}: {
  readonly name: string;
  readonly value: string;
  readonly hash?: boolean;
}): ReactNode {
  if (value === '') return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{hash ? <Hash value={value} digits={16} /> : <Untrusted value={value} maxLength={120} />}</dd>
    </div>
  );
}
