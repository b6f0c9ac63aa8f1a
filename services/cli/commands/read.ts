/** tail, sessions, session, alerts, controls, ledger: what is on record, for people and (with --json) for programs. */
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import { TriplineError } from '../../../schemas/errors.ts';
import { answerError } from '../client.ts';
import { connect, parseCount, withReader, type CommandContext } from '../command.ts';
import { table, visible } from '../output.ts';

export type Filters = Readonly<Record<string, string | undefined>>;
type Item = Readonly<Record<string, unknown>>;

const show = (value: unknown, maxLength?: number): string =>
  value === undefined || value === null
    ? ''
    : visible(typeof value === 'string' ? value : JSON.stringify(value), maxLength);

/** Names side by side; each is made visible by show(). */
const namesOf = (value: unknown): unknown => (Array.isArray(value) ? value.join(', ') : value);

/** An alert id, whole: people copy it. */
const MAX_CELL_CHARS = 64;

interface Listing {
  readonly path: string;
  readonly columns: readonly (readonly [title: string, of: (item: Item) => unknown])[];
  readonly empty: string;
}

const LISTINGS = {
  sessions: {
    path: '/v1/sessions',
    columns: [
      ['SESSION', (item) => item['session']],
      ['AGENT', (item) => namesOf(item['agents'])],
      ['CALLS', (item) => item['calls']],
      ['ALERTS', (item) => item['alerts']],
      ['FIRST', (item) => item['firstTime'] ?? item['first']],
      ['LAST', (item) => item['lastTime'] ?? item['last']],
    ],
    empty: 'No session is on record yet. Start a host with `tripline tap -- COMMAND`.',
  },
  alerts: {
    path: '/v1/alerts',
    columns: [
      ['TIME', (item) => item['time'] ?? item['effectiveTime']],
      ['LEVEL', (item) => item['level']],
      ['RULE', (item) => item['ruleId']],
      ['SESSION', (item) => item['session']],
      ['DISPOSITION', (item) => dispositionOf(item)],
      ['ALERT', (item) => item['id']],
      ['TITLE', (item) => item['title']],
    ],
    empty: 'No alert.',
  },
  controls: {
    path: '/v1/controls',
    columns: [
      ['ID', (item) => controlOf(item)['id']],
      ['STATE', (item) => controlOf(item)['state']],
      ['SCOPE', (item) => controlOf(item)['scope']],
      ['TARGET', (item) => controlOf(item)['target']],
      ['MODE', (item) => controlOf(item)['mode']],
      ['EXPIRES', (item) => controlOf(item)['expiresAt']],
      ['REASON', (item) => controlOf(item)['reason']],
    ],
    empty: 'No control is set.',
  },
} as const satisfies Record<string, Listing>;

/** `-` where nobody said anything yet. */
function dispositionOf(item: Item): unknown {
  const disposition = item['disposition'];
  return typeof disposition === 'object' && disposition !== null ? (disposition as Item)['value'] : '-';
}

function controlOf(item: Item): Item {
  const control = item['control'];
  return typeof control === 'object' && control !== null ? (control as Item) : item;
}

/** Prints a listing; answers how many items there were. */
export async function list(
  context: CommandContext,
  name: keyof typeof LISTINGS,
  filters: Filters,
): Promise<number> {
  const listing: Listing = LISTINGS[name];
  const limit = parseCount(filters['limit'] ?? '100', '--limit', [1, 100_000]);
  const items: Item[] = [];
  await withReader(context, async (client) => {
    for await (const item of client.items(listing.path, { ...filters, limit: undefined }, limit)) {
      items.push(item as Item);
      if (context.output.json) context.output.item(item, () => '');
    }
  });
  const rows = items.map((item) => listing.columns.map(([, of]) => show(of(item), MAX_CELL_CHARS)));
  context.output.text(
    items.length === 0
      ? listing.empty
      : table(
          listing.columns.map(([title]) => title),
          rows,
        ),
  );
  return items.length;
}

/** One session as a timeline. */
export async function session(context: CommandContext, id: string, filters: Filters): Promise<void> {
  const query = { tenant: filters['tenant'] };
  const found = (await withReader(context, (client) =>
    client.get(`/v1/sessions/${encodeURIComponent(id)}`, query),
  )) as Item;
  context.output.item(found, () => timeline(found));
}

function timeline(found: Item): string {
  const calls = Array.isArray(found['calls']) ? (found['calls'] as Item[]) : [];
  const rows = calls.map((call) => [
    show(call['time'] ?? call['effectiveTime']),
    show(call['server']),
    show(call['tool']),
    show(call['class']),
    show(call['outcome'] ?? 'pending'),
    show(call['durationMs']),
    show(call['destHost']),
  ]);
  const alerts = Array.isArray(found['alerts']) ? (found['alerts'] as Item[]) : [];
  return [
    `session ${show(found['session'])}  agent ${show(namesOf(found['agents']))}`,
    table(['TIME', 'SERVER', 'TOOL', 'CLASS', 'OUTCOME', 'MS', 'DESTINATION'], rows),
    ...alerts.map(
      (alert) => `ALERT ${show(alert['level'])} ${show(alert['ruleId'])}: ${show(alert['title'])}`,
    ),
  ].join('\n');
}

/** Heads, lag and coverage of the ledger. */
export async function ledger(context: CommandContext, filters: Filters): Promise<void> {
  const found = (await withReader(context, (client) =>
    client.get('/v1/ledger', { tenant: filters['tenant'] }),
  )) as Item;
  context.output.item(found, () => ledgerText(found));
}

const listOf = (value: unknown): readonly Item[] => (Array.isArray(value) ? (value as Item[]) : []);

/** One row a partition that holds anything: what is signed, what waits, what kinds of entries there are. */
function ledgerText(found: Item): string {
  const rows = listOf(found['partitions']).flatMap((at) => {
    if (at['latest'] === 0) return [];
    const isHere = (other: Item): boolean =>
      other['topic'] === at['topic'] && other['partition'] === at['partition'];
    const signed = listOf(found['heads']).filter(isHere).at(-1);
    const kinds = listOf(found['coverage'])
      .filter(isHere)
      .flatMap((log) => Object.entries(log['entries'] as Record<string, number>));
    const total = kinds.reduce((sum, [, count]) => sum + count, 0);
    const signedAtMs = signed?.['signedAtMs'];
    return [
      [
        show(at['topic']),
        show(at['partition']),
        show(total),
        show(at['lag']),
        typeof signedAtMs === 'number' ? new Date(signedAtMs).toISOString() : '',
        kinds.map(([kind, count]) => `${kind} ${count}`).join(', '),
      ],
    ];
  });
  return [
    `deployment ${show(found['deployment'])}, signing key ${listOf(found['keys'])
      .map((key) => show(key['keyId'], 17))
      .join(', ')}`,
    table(['TOPIC', 'PARTITION', 'ENTRIES', 'LAG', 'SIGNED', 'WHAT'], rows),
    ...healthText(found['health']),
  ].join('\n');
}

/** What the continuous verifier found; nothing where it does not run in that process. */
function healthText(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const health = value as Item;
  const sweptAtMs = health['sweptAtMs'];
  const swept = typeof sweptAtMs === 'number' ? new Date(sweptAtMs).toISOString() : 'not yet';
  const faults = listOf(health['faults']).map(
    (fault) =>
      `FAULT ${show(fault['code'])}: ${show(fault['log'], 128)} index ${show(fault['index'])} offset ${show(fault['offset'])} session ${show(fault['session'])} ${show(fault['detail'])}`,
  );
  return [`verified: ${show(health['state'])}, everything read again: ${swept}`, ...faults];
}

/** Follows the live tail until interrupted, or until `count` events were shown. */
export async function tail(context: CommandContext, filters: Filters, count: number): Promise<void> {
  const { url, token } = connect(context).endpoint;
  const pairs = Object.entries(filters).filter((pair): pair is [string, string] => pair[1] !== undefined);
  const target = `${url.replace(/^http/, 'ws')}/v1/tail?${new URLSearchParams(pairs).toString()}`;
  const socket = new WebSocket(target, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    context.io.signal.addEventListener('abort', () => socket.close(), { once: true });
    socket.on('message', (data: Buffer) => {
      // What came in one packet with the last is told after the close all the same.
      if (seen >= count) return;
      const message = JSON.parse(data.toString('utf8')) as Item;
      context.output.item(message, () => tailLine(message));
      seen += 1;
      if (seen >= count) socket.close();
    });
    socket.on('unexpected-response', (_request, response) => {
      // A refusal is a plain HTTP answer, so that it says why.
      text(response).then(
        (body) => reject(answerError(response.statusCode ?? 0, body)),
        () => reject(answerError(response.statusCode ?? 0, '')),
      );
    });
    socket.on('error', (cause) =>
      reject(new TriplineError('unreachable', `${url} does not answer`, { cause })),
    );
    socket.on('close', () => resolve());
  });
}

function tailLine(message: Item): string {
  if (message['type'] === 'dropped')
    return `(${show(message['count'])} events were too fast for this reader)`;
  const event: Item = {
    ...(message['event'] as Item | undefined),
    ...(message['derived'] as Item | undefined),
  };
  const cells = ['time', 'session', 'agent', 'kind', 'server', 'tool', 'class', 'outcome'].map((name) =>
    show(event[name], 40),
  );
  return cells.filter((cell) => cell !== '').join('  ');
}
