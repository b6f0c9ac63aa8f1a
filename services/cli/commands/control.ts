/** kill and lift: the kill switch from a terminal. */
import { parseDurationMs, connect, type CommandContext } from '../command.ts';
import { visible } from '../output.ts';
import { TriplineError } from '../../../schemas/errors.ts';

export interface KillOptions {
  readonly scope: string;
  readonly target?: string;
  readonly mode?: string;
  readonly ttl: string;
  readonly reason: string;
  readonly tenant?: string;
  /** Wait until a host acknowledged it on record. */
  readonly wait?: boolean;
}

type Item = Readonly<Record<string, unknown>>;
const WAIT_MS = 30_000;

/** Sets a control and prints it; with `wait`, returns when a host's acknowledgement is on record (30 s at most). */
export async function kill(context: CommandContext, options: KillOptions): Promise<void> {
  const client = connect(context);
  const query = options.tenant === undefined ? '' : `?tenant=${encodeURIComponent(options.tenant)}`;
  const created = (await client.post(`/v1/controls${query}`, {
    scope: options.scope,
    ...(options.target === undefined ? {} : { target: options.target }),
    ...(options.mode === undefined ? {} : { mode: options.mode }),
    ttlMs: parseDurationMs(options.ttl, '--ttl'),
    reason: options.reason,
  })) as Item;
  const control = (typeof created['control'] === 'object' ? created['control'] : created) as Item;
  const id = String(control['id']);
  const acknowledged = options.wait === true ? await acknowledgedBy(context, id) : undefined;
  context.output.item({ ...control, ...(acknowledged === undefined ? {} : { acknowledged }) }, () =>
    [
      `control ${visible(id)} set: ${visible(String(control['scope']))} ${visible(String(control['target']))}, ${visible(String(control['mode']))} until ${visible(String(control['expiresAt']))}`,
      ...(acknowledged === undefined
        ? []
        : [`acknowledged by ${acknowledged.map((host) => visible(host)).join(', ')}`]),
    ].join('\n'),
  );
}

async function acknowledgedBy(context: CommandContext, id: string): Promise<string[]> {
  const client = connect(context);
  const deadline = performance.now() + WAIT_MS;
  while (performance.now() < deadline && !context.io.signal.aborted) {
    const found: string[] = [];
    for await (const item of client.items('/v1/events', { kind: 'control.ack', controlId: id }, 100))
      found.push(String((item as Item)['session']));
    if (found.length > 0) return [...new Set(found)];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new TriplineError(
    'unreachable',
    `no host acknowledged control ${id} within ${WAIT_MS / 1000} s; it is set all the same`,
  );
}

/** Lifts a control. */
export async function lift(context: CommandContext, id: string, reason: string): Promise<void> {
  const lifted = (await connect(context).post(`/v1/controls/${encodeURIComponent(id)}/lift`, {
    reason,
  })) as Item;
  context.output.item(lifted, () => `control ${visible(id)} lifted`);
}
