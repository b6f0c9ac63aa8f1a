/** A report as elements. Names in it are of whoever made the bundle: text only, never markup, and nothing invisible. */
import type { Verdict, VerifyReport } from '../../../services/evidence/report.ts';
import { reportText } from '../../../services/evidence/report-text.ts';
import { visible } from '../../../services/evidence/visible.ts';

const MEANINGS: Readonly<Record<Verdict, string>> = {
  verified_witnessed: 'Verified, and witnesses vouch for it',
  verified: 'Verified; no witness vouches for all of it',
  incomplete: 'Incomplete: something is missing',
  diverges: 'Diverges from a head that is known',
  invalid: 'Invalid: it was altered',
};
const TONES: Readonly<Record<Verdict, 'ok' | 'warn' | 'danger'>> = {
  verified_witnessed: 'ok',
  verified: 'ok',
  incomplete: 'warn',
  diverges: 'danger',
  invalid: 'danger',
};
const MAX_LISTED = 100;

export function element(name: string, text = '', ...children: readonly Node[]): HTMLElement {
  const made = document.createElement(name);
  if (text !== '') made.textContent = text;
  made.append(...children);
  return made;
}

type Row = readonly [name: string, value: string | number | null];

function list(rows: readonly Row[]): HTMLElement {
  const made = element('dl');
  for (const [name, value] of rows) {
    if (value === null) continue;
    made.append(element('dt', name), element('dd', visible(String(value), 1000)));
  }
  return made;
}

function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): HTMLElement {
  const head = element('tr');
  for (const name of header) {
    const cell = element('th', name);
    cell.setAttribute('scope', 'col');
    head.append(cell);
  }
  const body = element('tbody');
  for (const row of rows.slice(0, MAX_LISTED))
    body.append(element('tr', '', ...row.map((cell) => element('td', visible(String(cell), 500)))));
  const wide = element('div', '', element('table', '', element('thead', '', head), body));
  wide.className = 'wide';
  // A region that scrolls must be reached by keyboard.
  wide.tabIndex = 0;
  wide.setAttribute('role', 'region');
  wide.setAttribute('aria-label', header.join(', '));
  if (rows.length <= MAX_LISTED) return wide;
  return element('div', '', wide, element('p', `and ${rows.length - MAX_LISTED} more`));
}

function part(title: string, ...children: readonly Node[]): HTMLElement {
  return element('section', '', element('h3', title), ...children);
}

export function resultOf(report: VerifyReport, about: readonly Row[]): readonly HTMLElement[] {
  const title = element('h2', MEANINGS[report.verdict]);
  title.className = TONES[report.verdict];
  const parts = [title, faultPart(report), witnessPart(report), summaryPart(report, about), gapsPart(report)];
  return [...parts.filter((one) => one !== undefined), logsPart(report), textPart(report)];
}

function faultPart({ firstFault }: VerifyReport): HTMLElement | undefined {
  if (firstFault === null) return undefined;
  return part('First fault', list(Object.entries(firstFault)));
}

/** Their signatures take certificates, which this page does not read. */
function stampsOf({ timestamps }: VerifyReport): Row {
  return ['Time stamps', timestamps && `${timestamps.count}; tripline-verify.mjs --tsa tells who made them`];
}

function witnessPart(report: VerifyReport): HTMLElement {
  const { witness, keysPinned } = report;
  const key: Row = [
    'Key',
    keysPinned
      ? 'the one that you gave'
      : 'the one that came along with the bundle: it proves nothing by itself',
  ];
  if (witness === null)
    return part(
      'Who vouches',
      list([key, ['Witnesses', 'none were asked for: no policy was given'], stampsOf(report)]),
    );
  const { quorum, witnesses, cosignedAtMs, unwitnessedEntries } = witness;
  return part(
    'Who vouches',
    list([
      key,
      ['Policy', quorum ? 'met' : 'not met'],
      ['Cosigned by', witnesses.length === 0 ? 'nobody' : witnesses.join(', ')],
      ['First cosigned', cosignedAtMs === null ? null : new Date(cosignedAtMs).toISOString()],
      ['Entries that came later', unwitnessedEntries],
      stampsOf(report),
    ]),
  );
}

function summaryPart(report: VerifyReport, about: readonly Row[]): HTMLElement {
  const scope = Object.entries(report.filter).map(([name, value]) => `${name} ${value}`);
  return part(
    'What was checked',
    list([
      ...about,
      ['Entries', report.entries],
      ['Logs', report.logs.length],
      ['Scope', scope.length === 0 ? 'everything' : `only of ${scope.join(', ')}, as the bundle says`],
      ['Left out', report.partial ? 'yes: what is here is sound, whether it is all is not told' : 'no'],
      ['Erased (authorised)', erasedOf(report)],
      ['Second accounts of one event', report.equivocations],
      ['Lines that could not be read', report.deadLetters],
      ['Not signed yet when it was made', report.pending],
    ]),
  );
}

function erasedOf({ erased, erasures }: VerifyReport): string {
  return erasures === 0 ? String(erased) : `${erased} entries, by ${erasures} ERASURE entries`;
}

function gapsPart({ gaps, gapCount }: VerifyReport): HTMLElement | undefined {
  if (gapCount === 0) return undefined;
  const rows = gaps.map(({ log, stream, firstSeq, lastSeq }) => [log, stream, `${firstSeq}–${lastSeq}`]);
  return part(`Missing: ${gapCount} gaps`, table(['Log', 'Stream', 'Events'], rows));
}

function logsPart({ logs }: VerifyReport): HTMLElement {
  const rows = logs.map((log) => [log.tenant, log.origin, log.entries, log.witnessed, log.root]);
  return part('Logs', table(['Tenant', 'Log', 'Entries', 'Witnessed', 'Root (SHA-256)'], rows));
}

function textPart(report: VerifyReport): HTMLElement {
  const text = element('pre', reportText(report));
  text.tabIndex = 0;
  return element('details', '', element('summary', 'As `tripline verify` prints it'), text);
}
