/** What the operator's mapping, and without it the class of the tool, says of a call. Pure. */
import { isInternalHost } from '../classify/dest-host.ts';
import type { ToolClass } from '../../schemas/event/v1.ts';
import type { DataLabel, LabelMapping, TrustLevel, TrustLine } from '../../schemas/labels/v1.ts';

/** Of which call something is asked. */
export interface LabelSubject {
  readonly server?: string | undefined;
  readonly tool?: string | undefined;
  readonly class?: string | undefined;
}

export interface Trust {
  readonly level: TrustLevel;
  /** Who vouches: a name of the mapping, `operator`, or `class` for what the tool's class says; absent where nobody does. */
  readonly by?: string;
}

export const NO_MAPPING: LabelMapping = Object.freeze({ trust: [], data: [], ignoreSecrets: [] });

function speaksOf(line: Pick<TrustLine, 'server' | 'tool' | 'class'>, subject: LabelSubject): boolean {
  return (
    (line.server === undefined || line.server === subject.server) &&
    (line.tool === undefined || line.tool === subject.tool) &&
    (line.class === undefined || line.class === subject.class)
  );
}

/** Host, then tool, then server, then class. */
function rankOf(line: Pick<TrustLine, 'server' | 'tool' | 'class' | 'host'>): number {
  const has = (value: unknown): number => (value === undefined ? 0 : 1);
  return has(line.host) * 8 + has(line.tool) * 4 + has(line.server) * 2 + has(line.class);
}

/** The most specific line, among equals the gravest, then the first. */
function bestOf<Line extends Parameters<typeof rankOf>[0]>(
  lines: readonly Line[],
  gravity: (line: Line) => number,
): Line | undefined {
  const weight = (line: Line): number => rankOf(line) * 4 + gravity(line);
  return lines.reduce<Line | undefined>(
    (best, line) => (best === undefined || weight(line) > weight(best) ? line : best),
    undefined,
  );
}

const GRAVITY: Readonly<Record<TrustLevel, number>> = { trusted: 0, unknown: 1, untrusted: 2 };
const UNKNOWN: Trust = Object.freeze({ level: 'unknown' });
const FROM_OUTSIDE: Trust = Object.freeze({ level: 'untrusted', by: 'class' });
/** What anybody in the world may have written. */
const OUTSIDE: ReadonlySet<string> = new Set<ToolClass>(['web_read', 'search']);

/** True where `trustOf` needs to know the hosts. */
export function readsHosts(mapping: LabelMapping): boolean {
  return mapping.trust.some(({ host }) => host !== undefined);
}

/** A trusted host vouches only where no other host is named; an untrusted one taints wherever it is named. */
function fitsHosts(line: TrustLine, hosts: readonly string[]): boolean {
  const { host } = line;
  if (host === undefined) return true;
  const matches = (name: string): boolean => isInternalHost(name, [host]);
  return line.level === 'trusted' ? hosts.length > 0 && hosts.every(matches) : hosts.some(matches);
}

/** Trust in what the call answers. `hosts`: all hosts that its arguments name. */
export function trustOf(
  subject: LabelSubject,
  hosts: readonly string[],
  mapping: LabelMapping = NO_MAPPING,
): Trust {
  const fitting = mapping.trust.filter((line) => speaksOf(line, subject) && fitsHosts(line, hosts));
  const best = bestOf(fitting, ({ level }) => GRAVITY[level]);
  if (best !== undefined) return { level: best.level, by: best.by ?? 'operator' };
  return OUTSIDE.has(subject.class ?? '') ? FROM_OUTSIDE : UNKNOWN;
}

/** The less trusted of two. */
export function lessTrusted(one: Trust, other: Trust): Trust {
  return GRAVITY[other.level] > GRAVITY[one.level] ? other : one;
}

const SENSITIVITY: Readonly<Record<DataLabel, number>> = { public: 0, internal: 1, secret: 2 };

/** The graver of two labels. */
export function graverLabel(one: DataLabel | undefined, other: DataLabel | undefined): DataLabel | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return SENSITIVITY[other] > SENSITIVITY[one] ? other : one;
}

const BY_CLASS: Readonly<Partial<Record<ToolClass, DataLabel>>> = {
  web_read: 'public',
  search: 'public',
  secret_read: 'secret',
  file_read: 'internal',
  memory_read: 'internal',
  database: 'internal',
};

/** Label by the mapping, else by the class (results only); undefined where nothing speaks. */
export function mappedLabel(
  of: 'args' | 'result',
  subject: LabelSubject,
  mapping: LabelMapping = NO_MAPPING,
): DataLabel | undefined {
  const fitting = mapping.data.filter(
    (line) => (line.of === 'both' || line.of === of) && speaksOf(line, subject),
  );
  const best = bestOf(fitting, ({ label }) => SENSITIVITY[label]);
  if (best !== undefined) return best.label;
  return of === 'result' && Object.hasOwn(BY_CLASS, subject.class ?? '')
    ? BY_CLASS[subject.class as ToolClass]
    : undefined;
}
