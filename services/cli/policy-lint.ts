/** What a sound policy most likely does not mean. Pure. */
import { TOOL_CLASSES } from '../../schemas/event/v1.ts';
import { matchesPattern } from '../../schemas/policy/decide.ts';
import type { Policy, PolicyLine, PolicyList } from '../../schemas/policy/v1.ts';

export interface PolicyWarning {
  readonly code:
    'shadowed' | 'denied' | 'class_never_allowed' | 'allows_everything' | 'unreachable' | 'names_principal';
  /** Path of the line. */
  readonly at: readonly (string | number)[];
  readonly message: string;
}

const NAMED = ['agents', 'environments', 'tasks', 'servers', 'tools'] as const;
/** Every call at a host has them: `*` leaves none out. */
const ALWAYS: ReadonlySet<(typeof NAMED)[number]> = new Set(['agents', 'servers', 'tools']);

/** True where `wide` covers whatever `narrow` covers; false where that is not plain to see. */
export function coversLine(wide: PolicyLine, narrow: PolicyLine): boolean {
  const named = NAMED.every((name) => {
    const patterns = wide[name];
    if (ALWAYS.has(name) && patterns?.includes('*') === true) return true;
    // A pattern that matches another one as text matches all that the other does: its `*` stands for the other's too.
    return (
      patterns === undefined || narrow[name]?.every((one) => patterns.some((any) => matchesPattern(any, one)))
    );
  });
  const { classes } = wide;
  return named && (classes === undefined || narrow.classes?.every((one) => classes.includes(one)) === true);
}

/** Warnings in the order of the file; classes that no call may have at the end. */
export function policyWarnings(policy: Policy): readonly PolicyWarning[] {
  return [
    ...(['allow', 'deny', 'hide', 'approvals'] as const).flatMap((list) => shadowed(policy, list)),
    ...policy.allow.flatMap((line, index) => allowWarnings(policy, line, index)),
    ...policy.approvals.flatMap((line, index) => approvalWarnings(policy, line, index)),
    ...neverAllowed(policy),
  ];
}

function shadowed(policy: Policy, list: PolicyList): readonly PolicyWarning[] {
  return policy[list].flatMap((line, index) => {
    const first = policy[list].slice(0, index).find((earlier) => {
      const limited = 'labels' in earlier && earlier.labels !== undefined;
      return !limited && coversLine(earlier, line);
    });
    if (first === undefined) return [];
    return [
      {
        code: 'shadowed',
        at: [list, index],
        message: `never decides: ${first.id} covers all that ${line.id} does`,
      },
    ];
  });
}

/** Lines by which a call is refused whatever else it is. */
function refusing(policy: Policy): readonly PolicyLine[] {
  return [...policy.hide, ...policy.deny.filter(({ labels }) => labels === undefined)];
}

function allowWarnings(policy: Policy, line: PolicyLine, index: number): readonly PolicyWarning[] {
  const at = ['allow', index];
  const denied = refusing(policy).find((one) => coversLine(one, line));
  const everything = coversLine(line, { id: line.id });
  return [
    ...(denied === undefined
      ? []
      : [
          {
            code: 'denied' as const,
            at,
            message: `allows nothing: ${denied.id} refuses all that ${line.id} covers`,
          },
        ]),
    ...(everything
      ? [
          {
            code: 'allows_everything' as const,
            at,
            message: `${line.id} covers every call: what comes new is allowed too`,
          },
        ]
      : []),
  ];
}

function approvalWarnings(
  policy: Policy,
  line: Policy['approvals'][number],
  index: number,
): readonly PolicyWarning[] {
  const at = ['approvals', index];
  const isAllowed = policy.allow.some((one) => mayMeet(one, line));
  return [
    ...(isAllowed
      ? []
      : [
          {
            code: 'unreachable' as const,
            at,
            message: `${line.id} asks for nothing: no line allows what it covers`,
          },
        ]),
    ...(line.fourEyes
      ? [
          {
            code: 'names_principal' as const,
            at: [...at, 'fourEyes'],
            message: 'hosts need TRIPLINE_PRINCIPAL, or the calls are refused',
          },
        ]
      : []),
  ];
}

/** Whether some call can be covered by both; true where that is not plain to see. */
function mayMeet(left: PolicyLine, right: PolicyLine): boolean {
  const classes =
    left.classes === undefined ||
    right.classes === undefined ||
    left.classes.some((one) => right.classes?.includes(one));
  const named = NAMED.every((name) => {
    const [one, other] = [left[name], right[name]];
    if (one === undefined || other === undefined) return true;
    return one.some((a) => other.some((b) => a.includes('*') || b.includes('*') || a === b));
  });
  return classes && named;
}

function neverAllowed(policy: Policy): readonly PolicyWarning[] {
  const never = TOOL_CLASSES.filter((toolClass) => {
    const wanted: PolicyLine = { id: toolClass, classes: [toolClass] };
    const isAllowed = policy.allow.some((line) => mayMeet(line, wanted));
    return !isAllowed || refusing(policy).some((line) => coversLine(line, wanted));
  });
  if (never.length === 0) return [];
  return [
    {
      code: 'class_never_allowed',
      at: ['allow'],
      message: `no call of these classes is allowed: ${never.join(', ')}`,
    },
  ];
}
