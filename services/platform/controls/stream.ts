/** WS /v1/controls/stream: what is set now, then every change in the turn in which it is known. */
import type { WebSocket } from '@fastify/websocket';
import { zHostMessage, type ControlStreamMessage, type HostMessage } from '../../../schemas/control/v1.ts';
import { isTriplineError } from '../../../schemas/errors.ts';
import type { BoardChange } from './board.ts';
import type { ControlReader } from './open.ts';
import { principalOf } from '../http/principal.ts';
import { concerns, CONTROL_READERS, type ControlRouteContext } from './access.ts';

const PING_INTERVAL_MS = 15_000;
/** A host that does not read has its channel closed: it reconnects and takes a snapshot, so nothing is lost to it. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** RFC 6455 §7.4.1 and the IANA registry: 1011 internal error, 1013 try again later. */
const CLOSE_INTERNAL = 1011;
/** Streams and approvals of one host whose verdicts and answers it waits for, and bytes of what it says. */
const MAX_WATCHED = 4_096;
const MAX_HOST_MESSAGE_BYTES = 1_024;
const CLOSE_TRY_AGAIN = 1013;

type Sources = Pick<ControlReader, 'board' | 'verdicts' | 'approvals'>;

export function registerControlStream(context: ControlRouteContext, sources: Sources): void {
  context.http.get(
    '/v1/controls/stream',
    {
      websocket: true,
      config: { roles: CONTROL_READERS },
      schema: {
        summary: 'Follow controls (WebSocket)',
        description:
          'A host that says {"type":"watch","stream":…} also gets the verdicts on held calls of that stream.',
        tags: ['controls'],
      },
    },
    async (socket, request) => {
      const principal = principalOf(request);
      // A host speaks at once; what it says while the subscription is put on record is kept.
      const early: Buffer[] = [];
      const keep = (data: Buffer): void => {
        if (early.length < MAX_WATCHED) early.push(data);
      };
      socket.on('message', keep);
      socket.on('error', (error) => context.log.debug({ err: error }, 'control stream'));
      try {
        await context.audit.record(principal.tenant, {
          action: 'subscribe',
          actor: principal.id,
          role: principal.role,
          target: '/v1/controls/stream',
          outcome: 'ok',
        });
      } catch (error) {
        context.log.warn({ err: error }, 'control stream not audited');
        socket.close(isTriplineError(error) && error.retryable ? CLOSE_TRY_AGAIN : CLOSE_INTERNAL);
        return;
      }
      socket.off('message', keep);
      serve(context, { socket, ...sources, tenant: principal.tenant, early });
    },
  );
}

/** Hosts may also answer with acknowledgements; on record are their control.ack events, so those are passed over. */
function hostMessage(data: Buffer): HostMessage | undefined {
  if (data.length > MAX_HOST_MESSAGE_BYTES) return undefined;
  try {
    return zHostMessage.parse(JSON.parse(data.toString('utf8')));
  } catch {
    return undefined;
  }
}

interface Subscription extends Sources {
  readonly socket: WebSocket;
  readonly tenant: string;
  /** What the host has said already. */
  readonly early: readonly Buffer[];
}

function serve(context: ControlRouteContext, subscription: Subscription): void {
  const { socket, board, verdicts, approvals, tenant, early } = subscription;
  if (socket.readyState !== socket.OPEN) return;
  const send = (message: ControlStreamMessage): void => {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > MAX_QUEUED_BYTES) socket.close(CLOSE_TRY_AGAIN);
    else socket.send(JSON.stringify(message));
  };
  const onChange = (change: BoardChange): void => {
    // Hosts see an expiry by their own clock.
    if (change.kind !== 'expired' && concerns(change.held.control, tenant))
      send({ type: 'control', control: change.held.signed });
  };
  const watched = new Map<string, () => void>();
  const hear = (data: Buffer): void => {
    const said = hostMessage(data);
    if (said === undefined) return;
    const key = 'stream' in said ? said.stream : said.approval;
    watched.get(key)?.();
    watched.delete(key);
    if (watched.size >= MAX_WATCHED) return;
    if (said.type === 'watch')
      watched.set(
        key,
        verdicts.subscribe(tenant, said.stream, (verdict) => send({ type: 'verdict', verdict })),
      );
    else if (said.type === 'watch_approval')
      watched.set(
        key,
        approvals.subscribe(tenant, said.approval, (signed) => send({ type: 'approval', approval: signed })),
      );
  };
  early.forEach(hear);
  socket.on('message', hear);
  // Subscribe and snapshot in one turn: no change falls between them.
  const unsubscribe = board.subscribe(onChange);
  const nowMs = context.clock.nowMs();
  send({
    type: 'snapshot',
    controls: board
      .list()
      .filter(({ control }) => concerns(control, tenant) && nowMs < Date.parse(control.expiresAt))
      .map(({ signed }) => signed),
  });
  const ping = setInterval(
    () => send({ type: 'ping', at: new Date(context.clock.nowMs()).toISOString() }),
    PING_INTERVAL_MS,
  );
  socket.on('close', () => {
    clearInterval(ping);
    unsubscribe();
    for (const unsubscribeVerdicts of watched.values()) unsubscribeVerdicts();
  });
}
