/** Decision graph: prompt hash → rationale → chosen call → output hash, joined by ids and hashes that are on record. */
import type { ReactNode } from 'react';
import type { Call, Decision, Session } from '../api/types.ts';
import { Hash, Untrusted } from '../parts/untrusted.tsx';

const MAX_DECISIONS_SHOWN = 100;

export function DecisionGraph({ session }: { readonly session: Session }): ReactNode {
  const calls = new Map(session.calls.map((call) => [call.callId, call]));
  return (
    <div className="decisions">
      <h2>Decisions</h2>
      {session.decisions.length === 0 ? (
        <p className="faint">
          This host sends no <code>decision</code> events, so what led the agent to a call is not on record.
        </p>
      ) : (
        <ol>
          {session.decisions.slice(0, MAX_DECISIONS_SHOWN).map((decision) => (
            <li key={decision.eventId}>
              <DecisionPath decision={decision} call={calls.get(decision.callId)} />
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function DecisionPath({
  decision,
  call,
}: {
  readonly decision: Decision;
  readonly call: Call | undefined;
}): ReactNode {
  return (
    <div className="path">
      <div className="node">
        <span className="node-kind">prompt</span>
        <Hash value={decision.promptHash} />
      </div>
      <div className="node wide">
        <span className="node-kind">rationale</span>
        <Untrusted value={decision.rationale} maxLength={140} empty="not recorded" />
      </div>
      <div className="node">
        <span className="node-kind">call</span>
        {call === undefined ? (
          <span className="faint">none on record</span>
        ) : (
          <strong className="tool">
            <Untrusted value={call.tool} maxLength={40} />
          </strong>
        )}
      </div>
      <div className="node">
        <span className="node-kind">output</span>
        <Hash value={call?.resultHash ?? ''} />
      </div>
    </div>
  );
}
