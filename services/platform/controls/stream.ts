/** WS /v1/controls/stream: what is set now, then every change in the turn in which it is known. */
import type { WebSocket } from '@fastify/websocket';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ControlStreamMessage } from '../../../schemas/control/v1.ts';
import { isTriplineError } from '../../../schemas/errors.ts';
import { zHex32 } from '../../../schemas/event/v1.ts';
import type { BoardChange } from './board.ts';
import type { ControlReader } from './open.ts';
import { principalOf } from '../http/principal.ts';
import { concerns, CONTROL_READERS, type ControlRouteContext } from './access.ts';

const PING_INTERVAL_MS = 15_000;
/** A host that does not read has its channel closed: it reconnects and takes a snapshot, so nothing is lost to it. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** RFC 6455 §7.4.1 and the IANA registry: 1011 internal error, 1013 try again later. */
const CLOSE_INTERNAL = 1011;
const CLOSE_TRY_AGAIN = 1013;

/** A host that holds calls back names the stream whose verdicts it waits for. */
const zStreamQuery = z.strictObject({ stream: zHex32.optional() });

type Sources = Pick<ControlReader, 'board' | 'verdicts'>;

export function registerControlStream(context: ControlRouteContext, sources: Sources): void {
  context.http.withTypeProvider<ZodTypeProvider>().get(
    '/v1/controls/stream',
    {
      websocket: true,
      config: { roles: CONTROL_READERS },
      schema: {
        summary: 'Follow controls (WebSocket)',
        description: 'With `stream` also the verdicts on calls of that stream that are held back.',
        tags: ['controls'],
        querystring: zStreamQuery,
      },
    },
    async (socket, request) => {
      const principal = principalOf(request);
      // Hosts may answer with acknowledgements; on record are their control.ack events, so nothing is read here.
      socket.on('message', () => undefined);
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
      serve(context, { socket, ...sources, tenant: principal.tenant, stream: request.query.stream });
    },
  );
}

interface Subscription extends Sources {
  readonly socket: WebSocket;
  readonly tenant: string;
  readonly stream: string | undefined;
}

function serve(context: ControlRouteContext, subscription: Subscription): void {
  const { socket, board, verdicts, tenant, stream } = subscription;
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
  const unsubscribeVerdicts =
    stream === undefined
      ? undefined
      : verdicts.subscribe(tenant, stream, (verdict) => send({ type: 'verdict', verdict }));
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
    unsubscribeVerdicts?.();
  });
}
