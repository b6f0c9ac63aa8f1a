/** A report for people, as every verifier prints it. */
import type { VerifyReport } from './report.ts';
import { visible } from './visible.ts';

/** What a verdict leaves open, for people. */
const HINTS: Partial<Record<VerifyReport['verdict'], string>> = {
  verified: ' (signed by the service; no witness vouches for all of it)',
  verified_witnessed: ' (signed by the service, and witnesses vouch for it)',
};

export function reportText(report: VerifyReport): string {
  const lines = [
    `${report.verdict}: ${report.entries} entries in ${report.logs.length} logs${HINTS[report.verdict] ?? ''}`,
  ];
  const scope = Object.entries(report.filter).map(([name, value]) => `${name} ${visible(value)}`);
  if (scope.length > 0) lines.push(`only of ${scope.join(', ')}, as the bundle says`);
  if (report.partial)
    lines.push('entries were left out: what is here is sound, whether it is all is not told');
  lines.push(...shallowLines(report));
  lines.push(...erasureLines(report));
  if (!report.keysPinned) lines.push('the key is the one that came along: compare it with --key log.pub');
  lines.push(...witnessLines(report), ...timestampLines(report), ...producerLines(report));
  if (report.policiesNotProjected > 0)
    lines.push(
      `${report.policiesNotProjected} rows lack the columns of their policy: of before there were any, or emptied; their bytes are sound`,
    );
  const fault = report.firstFault;
  if (fault !== null) {
    const place = Object.entries(fault).flatMap(([name, value]) =>
      value === null ? [] : [`  ${name}: ${visible(String(value))}`],
    );
    lines.push('first fault:', ...place);
  }
  return lines.join('\n');
}

/** What was not looked into is said before anything good is. */
function shallowLines({ shallow }: VerifyReport): string[] {
  const { sample, sampledOut, resumed } = shallow;
  const lines: string[] = [];
  if (sample !== null)
    lines.push(
      `a sample: of ${sampledOut} entries only chain and tree were checked; bytes and columns where index % ${sample.every} = ${sample.phase}`,
    );
  if (resumed > 0)
    lines.push(
      `of ${resumed} entries only chain and tree were checked: an earlier run looked into them, as its file says`,
    );
  return lines;
}

/** As the ERASURE entries are signed and in the tree like all others, what they cover is not missing. */
function erasureLines({ erased, erasures }: VerifyReport): string[] {
  if (erased === 0 && erasures === 0) return [];
  return [`erased (authorised): ${erased} entries, by ${erasures} ERASURE entries that say who and why`];
}

function timestampLines({ timestamps }: VerifyReport): string[] {
  if (timestamps === null) return [];
  const { count, trusted, latest } = timestamps;
  if (latest === null) return [`${count} time stamps, none of an authority that you named (--tsa)`];
  const at = new Date(latest.atMs).toISOString();
  return [
    `${trusted} of ${count} time stamps are of authorities that you named: the root log of ${latest.rootSize} leaves was there at ${at}, says ${visible(latest.authority)}`,
  ];
}

const MAX_ENDS_SHOWN = 10;

function producerLines({ producers }: VerifyReport): string[] {
  const { signed, unsigned, unregistered, revoked, unjudged, unchecked, openEnds, openEndCount } = producers;
  const others = { unregistered, revoked, unjudged, unchecked };
  const marks = Object.entries(others).flatMap(([name, count]) =>
    count === 0 ? [] : [`, ${name}: ${count}`],
  );
  const ends = openEnds.slice(0, MAX_ENDS_SHOWN).map((end) => {
    const missing = end.count === null ? 'fell silent' : `closed over ${end.count} events`;
    return `  stream ${end.stream}, session ${visible(end.session)}: ${missing} after ${end.nextSeq}`;
  });
  return [
    `lines of hosts: signed: ${signed}, unsigned: ${unsigned}${marks.join('')}`,
    ...(openEndCount === 0 ? [] : [`${openEndCount} streams without their end`, ...ends]),
  ];
}

function witnessLines({ witness }: VerifyReport): string[] {
  if (witness === null) return [];
  const { quorum, witnesses, cosignedAtMs, unwitnessedEntries } = witness;
  const at = cosignedAtMs === null ? 'never' : new Date(cosignedAtMs).toISOString();
  const names = witnesses.length === 0 ? 'nobody' : witnesses.map((name) => visible(name)).join(', ');
  return [
    `cosigned by ${names}, at ${at}: ${quorum ? 'the policy is met' : 'the policy is not met'}`,
    ...(quorum && unwitnessedEntries > 0
      ? [`${unwitnessedEntries} entries came later and are not witnessed`]
      : []),
  ];
}
