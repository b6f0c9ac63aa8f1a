/** WS /v1/tail: what is appended from now on, filtered; a reader that is too slow is told how much it missed. */
import type { WebSocket } from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { EVENT_KINDS, SERVICE_KINDS, TOOL_CLASSES, zName } from '../../schemas/event/v1.ts';
import { principalOf, readableTenant } from '../platform/http/principal.ts';
import type { StepContext } from '../platform/step.ts';
import { auditRead, READERS } from './access.ts';
import type { TailHub, TailMessage } from './hub.ts';

const MAX_QUEUED_BYTES = 1024 * 1024;
const REPORT_INTERVAL_MS = 1000;

const zTailQuery = z.strictObject({
  tenant: zName.optional(),
  session: zName.optional(),
  agent: zName.optional(),
  server: zName.optional(),
  tool: zName.optional(),
  class: z.enum(TOOL_CLASSES).optional(),
  kind: z.enum([...EVENT_KINDS, ...SERVICE_KINDS]).optional(),
  /** Audit events too; left out by default, since every read makes one. */
  audit: z.enum(['true', 'false']).default('false'),
});
type TailQuery = z.output<typeof zTailQuery>;

export function registerTail(context: StepContext, hub: TailHub): void {
  context.http.get(
    '/v1/tail',
    {
      websocket: true,
      config: { roles: [...READERS] },
      // Before the upgrade: a refusal is a plain HTTP answer, and after it nothing that is appended is missed.
      preHandler: async (request) => {
        const { tenant } = wantedBy(request);
        await auditRead(context, request, { action: 'subscribe', target: '/v1/tail', tenant });
        await hub.start();
      },
    },
    (socket, request) => follow(context, { socket, hub, ...wantedBy(request) }),
  );
}

function wantedBy(request: FastifyRequest): { readonly query: TailQuery; readonly tenant: string } {
  const parsed = zTailQuery.safeParse(request.query);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new TriplineError('request_invalid', issue?.message, { path: issue?.path.join('.') ?? '' });
  }
  return { query: parsed.data, tenant: readableTenant(principalOf(request), parsed.data.tenant) };
}

interface Follower {
  readonly socket: WebSocket;
  readonly hub: TailHub;
  readonly query: TailQuery;
  readonly tenant: string;
}

function follow(context: StepContext, { socket, hub, query, tenant }: Follower): void {
  let dropped = 0;
  const hasRoom = (): boolean => socket.bufferedAmount <= MAX_QUEUED_BYTES;
  const report = (): void => {
    if (dropped === 0 || !hasRoom() || socket.readyState !== socket.OPEN) return;
    socket.send(JSON.stringify({ type: 'dropped', count: dropped }));
    dropped = 0;
  };
  const unsubscribe = hub.subscribe((message) => {
    if (socket.readyState !== socket.OPEN || !isWanted(message, query, tenant)) return;
    report();
    if (hasRoom()) socket.send(JSON.stringify(message));
    else dropped += 1;
  });
  const timer = setInterval(report, REPORT_INTERVAL_MS);
  socket.on('error', (error) => context.log.debug({ err: error }, 'live tail'));
  socket.on('message', () => undefined);
  socket.on('close', () => {
    clearInterval(timer);
    unsubscribe();
  });
}

const FIELDS = ['session', 'agent', 'server', 'tool', 'kind'] as const;

/** True for a line of the reader's tenant that passes the filters. Pure. */
export function isWanted(message: TailMessage, query: TailQuery, tenant: string): boolean {
  if (tenant !== '*' && message.tenant !== tenant) return false;
  if (message.event['kind'] === 'audit' && query.audit !== 'true' && query.kind !== 'audit') return false;
  if (query.class !== undefined && message.derived.class !== query.class) return false;
  return FIELDS.every((field) => query[field] === undefined || query[field] === message.event[field]);
}
