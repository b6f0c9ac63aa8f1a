/** A chain of calls as steps with arrows: what a rule saw, in order. */
import type { ReactNode } from 'react';
import type { AlertCall } from '../api/types.ts';
import { ClassBadge } from './badges.tsx';
import { sessionLink } from './route.ts';
import { clockTime } from './time.ts';
import { Untrusted } from './untrusted.tsx';

interface ChainProps {
  readonly calls: readonly AlertCall[];
  readonly alertId: string;
}

export function Chain({ calls, alertId }: ChainProps): ReactNode {
  return (
    <ol className="chain" aria-label="Calls of the chain, in order">
      {calls.map((call, index) => (
        <li key={call.eventId}>
          <a href={sessionLink(call.session, { alert: alertId, call: call.eventId })}>
            <span className="chain-step">
              {index + 1} <Untrusted value={call.step} maxLength={24} folded />
            </span>
            <strong className="tool">
              <Untrusted value={call.tool} maxLength={40} folded />
            </strong>
            <span className="faint">
              <Untrusted value={call.server} maxLength={24} folded />
              {call.destHost === '' ? null : (
                <>
                  {' → '}
                  <Untrusted value={call.destHost} maxLength={32} folded />
                </>
              )}
            </span>
            <span className="chain-foot">
              <ClassBadge value={call.toolClass} />
              <span className="mono faint">
                <Untrusted value={clockTime(call.time)} maxLength={16} folded />
              </span>
            </span>
          </a>
        </li>
      ))}
    </ol>
  );
}
