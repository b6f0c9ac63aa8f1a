/** The controls of a process: one board however many steps ask for it, so that what one step sets another serves at once. */
import { TriplineError } from '../../../schemas/errors.ts';
import type { StepContext } from '../step.ts';
import { openControlBoard, type ControlBoard } from './board.ts';
import { createControlIssuer, type ControlIssuer } from './issuer.ts';
import { openControlKey, readControlPublicKey } from './key.ts';
import { openVerdicts, type Verdicts } from './verdicts.ts';
import { openApprovals, type Approvals } from '../approvals/board.ts';
import { createApprovalIssuer, type ApprovalIssuer } from '../approvals/issuer.ts';
import type { PinnedControlKey } from '../../../schemas/control/verify.ts';

export type ControlsContext = Pick<
  StepContext,
  'bus' | 'producer' | 'store' | 'audit' | 'clock' | 'randomBytes' | 'log' | 'dataDir'
>;

export interface ControlReader {
  readonly board: ControlBoard;
  readonly verdicts: Verdicts;
  readonly approvals: Approvals;
  readonly pinnedKey: PinnedControlKey;
  /** Idempotent; the board closes with its last user. */
  close(): Promise<void>;
}

export interface Controls extends ControlReader {
  readonly issuer: ControlIssuer;
  readonly approvalIssuer: ApprovalIssuer;
}

interface Shared {
  readonly board: ControlBoard;
  readonly verdicts: Verdicts;
  readonly approvals: Approvals;
  readonly pinnedKey: PinnedControlKey;
  users: number;
}

/** By bus: a process has one, a test may have several. */
const boards = new WeakMap<StepContext['bus'], Promise<Shared>>();
const issuers = new WeakMap<ControlBoard, ControlIssuer>();
const approvalIssuers = new WeakMap<Approvals, ApprovalIssuer>();

/** Board and issuer, for the process that holds the control key; the key is made at first start. */
export async function openControls(context: ControlsContext): Promise<Controls> {
  const key = await openControlKey(context.dataDir, context.randomBytes);
  const reader = await share(context, key);
  let issuer = issuers.get(reader.board);
  if (issuer === undefined) {
    issuer = createControlIssuer({ ...context, board: reader.board, key });
    issuers.set(reader.board, issuer);
  }
  let approvalIssuer = approvalIssuers.get(reader.approvals);
  if (approvalIssuer === undefined) {
    approvalIssuer = createApprovalIssuer({ ...context, approvals: reader.approvals, key });
    approvalIssuers.set(reader.approvals, approvalIssuer);
  }
  return { ...reader, issuer, approvalIssuer };
}

/**
 * The board alone, for a process that only serves controls to hosts: it needs control.pub of the process that issues
 * them in its data directory, else config_invalid.
 */
export async function openControlReader(context: ControlsContext): Promise<ControlReader> {
  const pinnedKey = await readControlPublicKey(context.dataDir);
  if (pinnedKey === undefined)
    throw new TriplineError(
      'config_invalid',
      'control.pub is missing in the data directory: copy it from the process that runs step respond',
    );
  return share(context, pinnedKey);
}

async function share(context: ControlsContext, pinnedKey: PinnedControlKey): Promise<ControlReader> {
  const opening = boards.get(context.bus) ?? open(context, pinnedKey);
  boards.set(context.bus, opening);
  let shared: Shared;
  try {
    shared = await opening;
  } catch (error) {
    boards.delete(context.bus);
    throw error;
  }
  shared.users += 1;
  let isClosed = false;
  return {
    board: shared.board,
    verdicts: shared.verdicts,
    approvals: shared.approvals,
    pinnedKey: shared.pinnedKey,
    async close() {
      if (isClosed) return;
      isClosed = true;
      shared.users -= 1;
      if (shared.users > 0) return;
      boards.delete(context.bus);
      await issuers.get(shared.board)?.drain();
      await Promise.all([shared.verdicts.close(), shared.approvals.close(), shared.board.close()]);
    },
  };
}

async function open(context: ControlsContext, pinnedKey: PinnedControlKey): Promise<Shared> {
  const { bus, clock, log } = context;
  return {
    board: await openControlBoard({ bus, clock, log, pinnedKeys: [pinnedKey] }),
    verdicts: await openVerdicts({ bus, log }),
    approvals: await openApprovals({ bus, clock, log, pinnedKeys: [pinnedKey] }),
    pinnedKey,
    users: 0,
  };
}
