/** The threat table: what is done, what must be said of it, and what others say of the same rows. Tests hold each row to what happens. */
import type { Finding } from './peers.ts';

/** What an auditor reads: exit code of `verify`, code of the first fault; or that nothing was signed. */
export interface Ours {
  readonly exit: number;
  readonly code: string | null;
}

export interface AttackRow {
  readonly id: string;
  /** Which suite does it. */
  readonly suite: 'rows' | 'lives';
  readonly attack: string;
  /** On what storage, by whom. */
  readonly done: string;
  readonly ours: Ours;
  /** Where, and by what. */
  readonly by: string;
  readonly chain: Finding;
  readonly tree: Finding;
  readonly keeper: Finding;
  /** Nothing was done that may not be done: whoever finds something is wrong. */
  readonly isLawful?: true;
}

const peers = (chain: Finding, tree: Finding, keeper: Finding) => ({ chain, tree, keeper });
const ALL_CATCH = peers('caught', 'caught', 'caught');
const ALL_MISS = peers('missed', 'missed', 'missed');

export const ATTACKS = [
  {
    id: 'edit-row',
    suite: 'rows',
    attack: 'Edit one row',
    done: 'one row of `ledger`',
    ours: { exit: 40, code: 'entry_altered' },
    by: 'leaf hash: index, offset, session',
    ...ALL_CATCH,
  },
  {
    id: 'edit-payload',
    suite: 'rows',
    attack: 'Edit the bytes of one event',
    done: 'a bit of the sealed block in `payloads`',
    ours: { exit: 40, code: 'payload_altered' },
    by: 'event hash over the exact bytes: index, offset, session',
    ...ALL_CATCH,
  },
  {
    id: 'edit-column',
    suite: 'rows',
    attack: 'Edit a column that queries read',
    done: '`events.tool` of one row; ledger and bytes stay',
    ours: { exit: 40, code: 'projection_altered' },
    by: 'columns are derived again from the bytes: index, offset, session, column',
    ...ALL_MISS,
  },
  {
    id: 'delete-row',
    suite: 'rows',
    attack: 'Delete a middle row',
    done: 'one index in `ledger`, `payloads`, `events`',
    ours: { exit: 40, code: 'entry_missing' },
    by: 'dense index',
    ...ALL_CATCH,
  },
  {
    id: 'delete-tail',
    suite: 'rows',
    attack: 'Delete the tail',
    done: 'the last three rows of each table',
    ours: { exit: 40, code: 'entry_missing' },
    by: 'fewer rows than the signed size: the first index that is gone',
    ...peers('missed', 'caught', 'caught'),
  },
  {
    id: 'set-back',
    suite: 'lives',
    attack: 'Delete the tail, and show the older signed head',
    done: 'tables, signer and root log set back to an earlier copy of the directory',
    ours: { exit: 30, code: 'known_head_differs' },
    by: 'a root checkpoint kept from after; the witnesses answer the next epoch with 409 and the size they know',
    ...peers('missed', 'missed', 'caught'),
  },
  {
    id: 'insert-row',
    suite: 'rows',
    attack: 'Insert a row',
    done: 'a second row of an index that is taken',
    ours: { exit: 40, code: 'entry_twin' },
    by: 'one row an index',
    ...ALL_CATCH,
  },
  {
    id: 'append-row',
    suite: 'lives',
    attack: 'Append a row with the right link',
    done: 'a row behind the last one, link and hash computed as they must be',
    ours: { exit: 40, code: 'row_unsigned' },
    by: 'no signed head and no reserved batch covers it',
    ...ALL_MISS,
  },
  {
    id: 'reorder',
    suite: 'rows',
    attack: 'Reorder',
    done: 'two rows change their indexes',
    ours: { exit: 40, code: 'link_broken' },
    by: 'index inside the leaf, link: the first of the two',
    ...ALL_CATCH,
  },
  {
    id: 'edit-tile',
    suite: 'rows',
    attack: 'Edit the root log',
    done: 'a byte of a leaf in its tiles',
    ours: { exit: 40, code: 'root_entries_invalid' },
    by: 'root of the cosigned checkpoint',
    ...ALL_MISS,
  },
  {
    id: 'rewrite',
    suite: 'lives',
    attack: "Rewrite all with the writer's key",
    done: 'a history without one call, recorded anew from an altered bus with a fresh signer state and the real log key',
    ours: { exit: 30, code: 'known_head_differs' },
    by: 'a kept checkpoint; without one exit 10, never 0: the witnesses answer 409 or 422 and keep the signed fork',
    ...peers('missed', 'missed', 'caught'),
  },
  {
    id: 'rewrite-shown',
    suite: 'lives',
    attack: "Rewrite all, and show the old history's cosigned checkpoint",
    done: 'the same, with the old cosigned note put into the state of the new one',
    ours: { exit: 40, code: 'root_entries_invalid' },
    by: 'the cosigned root must be a beginning of the leaves; where it is the larger one: `root_checkpoint_invalid`',
    ...peers('missed', 'missed', 'caught'),
  },
  {
    id: 'fork',
    suite: 'lives',
    attack: 'Fork, split view',
    done: 'two histories from one head, each shown to one auditor; the operator asks other witnesses for each',
    ours: { exit: 10, code: null },
    by: 'two quorums of two in three share a witness: one history is cosigned, the other never is; exit 30 against a kept checkpoint of the first',
    ...ALL_MISS,
  },
  {
    id: 'replay',
    suite: 'lives',
    attack: 'Replay, duplicate',
    done: 'a record of the bus sent again, then one with other bytes for the same sequence',
    ours: { exit: 0, code: null },
    by: 'the first adds no entry; the second is an EQUIVOCATION entry, which the report counts',
    ...ALL_MISS,
  },
  {
    id: 'back-date',
    suite: 'lives',
    attack: 'Back-date',
    done: "an epoch that claims to be older than it is: the signer's state names a cosigned checkpoint of before",
    ours: { exit: 40, code: 'coverage_differs' },
    by: 'each COVERAGE leaf names the newest cosigned checkpoint (`not_before`), and none goes back; what it covers is younger than that one and older than the next cosignature',
    ...ALL_MISS,
  },
  {
    id: 'impersonate',
    suite: 'lives',
    attack: 'Producer impersonation',
    done: 'a record under the name of the agent, signed with a key that nobody registered',
    ours: { exit: 0, code: null },
    by: 'it is on record as what it is: the report counts lines under such keys (`producers.unregistered`) and unsigned ones apart from signed ones',
    ...ALL_MISS,
  },
  {
    id: 'erase-faked',
    suite: 'rows',
    attack: 'Erasure faked as a lawful one',
    done: 'one event as erased ones look: its key does not exist, its row of `events` is gone; no ERASURE entry',
    ours: { exit: 40, code: 'payload_missing' },
    by: 'no signed ERASURE entry names the index: index, offset, session',
    ...ALL_CATCH,
  },
  {
    id: 'erase-lawful',
    suite: 'lives',
    attack: 'Erasure that an ERASURE entry names (no attack)',
    done: 'the same, after a signed ERASURE entry of the tenant that says who, why, and which entries',
    ours: { exit: 0, code: null },
    by: 'all proofs hold, the report counts it as erased; the others cannot tell it from the one above',
    ...ALL_CATCH,
    isLawful: true,
  },
  {
    id: 'silent-end',
    suite: 'lives',
    attack: 'Silent end of a stream',
    done: 'a host is cut off after its first call: no heartbeat, no close and no other event of it arrives',
    ours: { exit: 20, code: null },
    by: 'a stream that was opened owes heartbeats and a close: listed as an open end, three heartbeats later by the times of its log',
    ...ALL_MISS,
  },
  {
    id: 'drop',
    suite: 'lives',
    attack: 'Drop before ingest',
    done: 'one event of a stream never arrives',
    ours: { exit: 20, code: null },
    by: "the stream's own sequence: GAP entry, stream and sequence listed",
    ...ALL_MISS,
  },
  {
    id: 'crash',
    suite: 'lives',
    attack: 'Crash in mid-batch',
    done: 'the writer dies after its insert and before its signature; a new life goes on',
    ours: { exit: 0, code: null },
    by: 'manifest, content token, read-back, signature last: nothing lost, nothing twice',
    ...ALL_MISS,
  },
  {
    id: 'bus-loss',
    suite: 'lives',
    attack: 'Partial loss of the bus',
    done: 'records in the middle of a partition are gone before they were read',
    ours: { exit: 0, code: 'bus_offset_lost' },
    by: 'offsets are dense: nothing is signed over the hole, a FINDING leaf names it, the service is not ready; exit 20 once an operator has accepted the loss',
    ...ALL_MISS,
  },
] as const satisfies readonly AttackRow[];

export type AttackId = (typeof ATTACKS)[number]['id'];

function cell(finding: Finding, { isLawful }: AttackRow): string {
  if (isLawful === true) return finding === 'caught' ? '**false alarm**' : 'right';
  return finding === 'caught' ? 'found' : '**missed**';
}

const VERDICTS: Readonly<Record<number, string>> = {
  0: 'witnessed',
  10: 'verified',
  20: 'incomplete',
  30: 'diverges',
  40: 'invalid',
};

function oursOf({ ours }: AttackRow): string {
  const code = ours.code === null ? '' : `, \`${ours.code}\``;
  return `${ours.exit} ${VERDICTS[ours.exit] ?? ''}${code}`;
}

/** services/evidence/ATTACKS.md. */
export function attacksDocument(): string {
  const rows = ATTACKS.map(
    (row: AttackRow) =>
      `| ${row.attack} | ${row.done} | ${oursOf(row)} | ${row.by} | ${cell(row.chain, row)} | ${cell(row.tree, row)} | ${cell(row.keeper, row)} |`,
  );
  return `${HEAD}${rows.join('\n')}\n${FOOT}`;
}

const HEAD = `# Attacks

Each row is a test that edits real storage of a deployment with three witnesses (policy: two of three) and holds \`verify\` to this verdict, and three others
to theirs over the same rows: a plain hash chain, an RFC 6962 log without witnesses, and an auditor of the latter who kept an earlier head. They are written from their definitions
in \`test/support/attacks/peers.ts\`; the attacks are in \`test/scenarios/attacks*.test.ts\`. This file is generated from \`test/support/attacks/table.ts\`, and a test holds it to that.

<!-- prettier-ignore -->
| Attack | What is done | Tripline: exit, first fault | By what | Hash chain | Tree log | Kept head |
| --- | --- | --- | --- | --- | --- | --- |
`;

const FOOT = `
The three others are given no streams, offsets or derived columns, because such logs have none: for replay, drop, crash and loss they are a recorder that appends what arrives.

Not covered: a producer that lies about its calls; what an agent never emits; an operator together with as many witnesses as the policy asks for; the seconds
between an event and the next cosignature.
`;
