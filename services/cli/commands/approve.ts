/** approve: what waits for a person's yes, its exact arguments, and the answer. */
import { TriplineError } from '../../../schemas/errors.ts';
import { connect, parseDurationMs, type CommandContext } from '../command.ts';
import { table, visible } from '../output.ts';

export interface ApproveOptions {
  readonly id: string | undefined;
  readonly answer: 'grant' | 'deny' | undefined;
  readonly reason: string | undefined;
  readonly ttl: string | undefined;
  readonly state: string | undefined;
  readonly tenant: string | undefined;
}

interface Request {
  readonly id: string;
  readonly state: string;
  readonly agent: string;
  readonly server: string;
  readonly tool: string;
  readonly class: string;
  readonly args?: string;
  readonly argsHash: string;
  readonly argsAltered: boolean;
  readonly fourEyes: boolean;
  readonly session: string;
  readonly principal?: string;
  readonly requestedAt: string;
  readonly answerableUntil: string;
  readonly policy?: { readonly id: string; readonly version: number; readonly rule?: string };
}

const MAX_LISTED = 10_000;
const SHOWN_CHARACTERS = 60;
/** All of it: what is granted must be seen. */
const ALL_CHARACTERS = 300_000;

/** Lists what waits; with an id shows that one, or answers it. */
export async function approve(context: CommandContext, options: ApproveOptions): Promise<void> {
  const { id, answer } = options;
  if (id === undefined) {
    if (answer !== undefined)
      throw new TriplineError('usage', 'name the request that is answered', { path: 'id' });
    return list(context, await requests(context, options));
  }
  const request = (await requests(context, { ...options, state: 'all' })).find((one) => one.id === id);
  if (request === undefined) throw new TriplineError('not_found', `there is no request ${id}`);
  if (answer === undefined) return context.output.item(request, () => shown(request));
  const { reason } = options;
  if (reason === undefined) throw new TriplineError('usage', '--reason is needed', { path: '--reason' });
  const ttl = options.ttl === undefined ? {} : { ttlMs: parseDurationMs(options.ttl, '--ttl') };
  // What this command was shown is what is granted: the hash goes along.
  const body = answer === 'grant' ? { argsHash: request.argsHash, reason, ...ttl } : { reason };
  const decision = (await connect(context).post(
    `/v1/approvals/${encodeURIComponent(id)}/${answer}${query(options)}`,
    body,
  )) as {
    readonly verdict: string;
    readonly by: string;
    readonly expiresAt: string;
  };
  context.output.item(
    decision,
    () =>
      `${shown(request)}\n${decision.verdict} by ${visible(decision.by)}${answer === 'grant' ? `, until ${decision.expiresAt}` : ''}`,
  );
}

const query = ({ tenant }: ApproveOptions): string =>
  tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`;

async function requests(
  context: CommandContext,
  { tenant, state, id }: ApproveOptions,
): Promise<readonly Request[]> {
  const found: Request[] = [];
  for await (const item of connect(context).items('/v1/approvals', { tenant, state, id }, MAX_LISTED))
    found.push(item as Request);
  return found;
}

function list({ output }: CommandContext, found: readonly Request[]): void {
  if (output.json) for (const request of found) output.item(request, () => '');
  else if (found.length === 0) output.text('nothing waits for approval');
  else
    output.text(
      table(
        ['id', 'state', 'agent', 'tool', 'class', 'until', 'arguments'],
        found.map((one) => [
          one.id,
          one.state,
          visible(one.agent, SHOWN_CHARACTERS),
          visible(`${one.server}/${one.tool}`, SHOWN_CHARACTERS),
          one.class,
          one.answerableUntil,
          visible(one.args ?? '', SHOWN_CHARACTERS),
        ]),
      ),
    );
}

function shown(request: Request): string {
  const { policy, principal } = request;
  return [
    `${request.id}  ${request.state}`,
    `  agent      ${visible(request.agent)}${principal === undefined ? '' : `, for ${visible(principal)}`}`,
    `  tool       ${visible(`${request.server}/${request.tool}`, 600)} (${request.class})`,
    `  arguments  ${visible(request.args ?? '(none)', ALL_CHARACTERS)}`,
    `  SHA-256    ${request.argsHash}${request.argsAltered ? '  NOT what the host hashed: cannot be granted' : ''}`,
    `  session    ${visible(request.session)}`,
    `  asked      ${request.requestedAt}, may be answered until ${request.answerableUntil}`,
    ...(policy === undefined
      ? []
      : [`  policy     ${visible(policy.id)} version ${policy.version}, ${visible(policy.rule ?? '')}`]),
    ...(request.fourEyes ? ['  four eyes  somebody else than whom the agent acts for'] : []),
  ].join('\n');
}
