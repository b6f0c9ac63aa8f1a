/** The dashboards: every ClickHouse panel's query is a file and runs; every Prometheus metric is one that the code has. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { openChdbStore, type ChdbStore } from '../../services/platform/store/chdb/open.ts';
import { migrate } from '../../services/platform/store/migrate.ts';

const root = resolve(import.meta.dirname, '../..');
const grafana = join(root, 'dashboards/grafana');
const QUERIES = readdirSync(join(grafana, 'queries')).toSorted();

interface Target {
  readonly rawSql?: string;
  readonly expr?: string;
  readonly meta?: { readonly file: string };
}
interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly targets: readonly Target[];
}
interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}

const dashboard = (name: string): Dashboard =>
  JSON.parse(readFileSync(join(grafana, `${name}.json`), 'utf8')) as Dashboard;
const security = dashboard('security');
const operations = dashboard('operations');
const sqlOf = (file: string): string => readFileSync(join(grafana, 'queries', file), 'utf8');

const FROM_S = Date.parse('2026-01-31T12:00:00Z') / 1000;
const TO_S = FROM_S + 3600;

/** As Grafana's ClickHouse data source expands its macros, and Grafana the variable with format `sqlstring`. */
function expand(sql: string, tenants: readonly string[]): string {
  return sql
    .replaceAll(/\$__timeFilter\((\w+)\)/g, `$1 >= toDateTime(${FROM_S}) AND $1 <= toDateTime(${TO_S})`)
    .replaceAll(/\$__timeInterval\((\w+)\)/g, 'toStartOfInterval(toDateTime($1), INTERVAL 60 second)')
    .replaceAll('${tenant:sqlstring}', () =>
      tenants.map((name) => `'${name.replaceAll("'", "''")}'`).join(','),
    );
}

const at = (seconds: number): string =>
  new Date((FROM_S + seconds) * 1000).toISOString().replace('T', ' ').replace('Z', '');
const HOSTILE = "x' OR 1=1 --";

const EVENTS = [
  { kind: 'call.intent', call_id: 'a', tool: 'web_search', class: 'search', effective_time: at(10) },
  {
    kind: 'call.result',
    call_id: 'a',
    tool: 'web_search',
    class: 'search',
    outcome: 'ok',
    duration_ms: 10,
    effective_time: at(11),
  },
  {
    kind: 'call.intent',
    call_id: 'b',
    tool: 'http_post',
    class: 'external_post',
    dest_host: 'paste.example',
    effective_time: at(70),
  },
  {
    kind: 'call.result',
    call_id: 'b',
    tool: 'http_post',
    class: 'external_post',
    outcome: 'refused',
    duration_ms: 1,
    effective_time: at(71),
  },
  {
    kind: 'call.intent',
    call_id: 'c',
    tool: 'send',
    class: 'message',
    dest_host: 'paste.example',
    effective_time: at(75),
    session_id: 's2',
  },
  // Outside the time range, and of another tenant: neither may be counted.
  {
    kind: 'call.intent',
    call_id: 'd',
    tool: 'send',
    class: 'message',
    dest_host: 'late.example',
    effective_time: at(7200),
  },
  {
    kind: 'call.result',
    call_id: 'e',
    tool: 'send',
    class: 'message',
    outcome: 'refused',
    effective_time: at(20),
    tenant: HOSTILE,
  },
].map((row, idx) => ({
  tenant: 'default',
  session_id: 's1',
  outcome: '',
  duration_ms: 0,
  dest_host: '',
  idx,
  event_time: row.effective_time,
  append_time: row.effective_time,
  ...row,
}));

const BODY = JSON.stringify({
  calls: [
    { tool: 'web_search', step: 'a' },
    { tool: 'http_post', step: 'b' },
  ],
});
const alert = {
  tenant: 'default',
  alert_id: 'a1',
  idx: 1,
  rule_id: 'exfiltration',
  level: 'high',
  title: 'T',
  mode: 'alert',
  session_id: 's1',
  agent: 'x',
  effective_time: at(70),
  append_time: at(70),
  body: BODY,
};
// The same alert twice: the topic is at least once.
const ALERTS = [
  alert,
  { ...alert, idx: 2 },
  { ...alert, alert_id: 'a2', level: 'low', effective_time: at(100) },
];

const control = {
  tenant: 'default',
  scope: 'tool',
  target: 'http_post',
  mode: 'enforce',
  state: 'set',
  reason: 'r',
  issued_by: 'admin',
  issued_at: at(0),
  expires_at: '2100-01-01 00:00:00.000',
};
const CONTROLS = [
  { ...control, control_id: 'live', version: 1 },
  { ...control, control_id: 'lifted', version: 2 },
  { ...control, control_id: 'lifted', version: 3, state: 'lifted' },
  { ...control, control_id: 'expired', version: 4, expires_at: at(0) },
  { ...control, control_id: 'other', version: 5, tenant: HOSTILE },
  { ...control, control_id: 'global', version: 6, tenant: '*' },
];

type Row = Readonly<Record<string, unknown>>;

/** Expected rows, by hand from the rows above, for tenant `default`; counts come as decimal text. */
const EXPECTED: Readonly<Record<string, readonly Row[]>> = {
  'alerts-by-level.sql': [
    { level: 'high', alerts: '1' },
    { level: 'low', alerts: '1' },
  ],
  'alerts-latest.sql': [
    { alert: 'a2', chain: 'web_search → http_post' },
    { alert: 'a1', chain: 'web_search → http_post' },
  ],
  'alerts-by-rule.sql': [{ rule: 'exfiltration', alerts: '2', sessions: '1' }],
  'refused-calls.sql': [{ class: 'external_post', refused: '1' }],
  'classes-over-time.sql': [
    { class: 'search', calls: '1' },
    { class: 'external_post', calls: '1' },
    { class: 'message', calls: '1' },
  ],
  'outside-hosts.sql': [
    { host: 'paste.example', calls: '2', sessions: '2', classes: 'external_post, message' },
  ],
  'outcomes.sql': [
    { outcome: 'ok', calls: '1', p50_ms: 10 },
    { outcome: 'refused', calls: '1', p50_ms: 1 },
  ],
  'controls-in-force.sql': [{ control: 'global' }, { control: 'live' }],
  'dead-letters.sql': [{ code: 'event_malformed_json', lines: '2' }],
  'variable-tenant.sql': [{ tenant: 'default' }, { tenant: HOSTILE }],
};

describe('Grafana security dashboard over ClickHouse', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-grafana-'));
  let store: ChdbStore;

  before(async () => {
    store = await openChdbStore({
      dir,
      maxMemoryBytes: 1_000_000_000,
      queryTimeoutMs: 20_000,
      log: pino({ level: 'silent' }),
    });
    await migrate(store, 'tripline');
    await store.insertRows('events', EVENTS);
    await store.insertRows('alerts', ALERTS);
    await store.insertRows('controls', CONTROLS);
    const letter = { idx: 0, tenant: 'default', code: 'event_malformed_json', append_time: at(30) };
    await store.insertRows('dead_letters', [letter, { ...letter, idx: 1 }]);
  });
  after(async () => {
    await store.close();
    rmSync(dir, { recursive: true });
  });

  for (const file of QUERIES)
    it(`${file} counts what is there, and only that`, async () => {
      const expected = EXPECTED[file];
      assert.ok(expected !== undefined, `no expectation for ${file}`);
      const rows = await store.query<Row>(expand(sqlOf(file), ['default']));
      const columns = Object.keys(expected[0] ?? {});
      assert.deepEqual(
        rows.map((row) => Object.fromEntries(columns.map((column) => [column, row[column]]))),
        expected,
      );
    });

  it('a tenant whose name is SQL stays a name', async () => {
    const rows = await store.query<Row>(expand(sqlOf('refused-calls.sql'), [HOSTILE]));
    assert.deepEqual(
      rows.map((row) => row['class']),
      ['message'],
    );
    assert.deepEqual(await store.query(expand(sqlOf('refused-calls.sql'), ["nobody'"])), []);
  });
});

describe('Grafana dashboards as files', () => {
  it('every query file is the query of exactly one panel or variable', () => {
    const used = security.panels.flatMap((panel) =>
      panel.targets.map((target) => {
        const file = target.meta?.file.replace('queries/', '') ?? '';
        assert.equal(target.rawSql, sqlOf(file), panel.title);
        return file;
      }),
    );
    const variable = security.templating.list.find((item) => item.name === 'tenant');
    assert.equal(variable?.query, sqlOf('variable-tenant.sql'));
    assert.deepEqual([...used, 'variable-tenant.sql'].toSorted(), QUERIES);
  });

  it('every query keeps to the chosen tenant and a bounded answer', () => {
    for (const file of QUERIES.filter((name) => name !== 'variable-tenant.sql')) {
      assert.match(sqlOf(file), /tenant IN \(\$\{tenant:sqlstring\}/, file);
      assert.match(sqlOf(file), /\bLIMIT \d+\s*$|GROUP BY (?:time, \w+|outcome)\n/, file);
    }
  });

  it('every metric is one that a step registers', () => {
    const code = readdirSync(join(root, 'services'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
      .map((name) => readFileSync(join(root, 'services', name), 'utf8'))
      .join('\n');
    const named = operations.panels.flatMap((panel) =>
      panel.targets.flatMap((target) => target.expr?.match(/tripline_\w+/g) ?? []),
    );
    assert.ok(named.length >= 12);
    for (const metric of new Set(named)) {
      const base = metric.replace(/_bucket$/, '');
      assert.ok(code.includes(`'${base}'`), `no step registers ${base}`);
    }
  });

  for (const [name, { panels, uid }] of Object.entries({ security, operations }))
    it(`${name}: ids are unique, panels lie side by side, each says what it shows`, () => {
      assert.equal(uid, `tripline-${name}`);
      assert.equal(new Set(panels.map((panel) => panel.id)).size, panels.length);
      const cells = new Set<string>();
      for (const { gridPos, title, description } of panels) {
        assert.ok(title !== '' && description !== '');
        assert.ok(gridPos.x + gridPos.w <= 24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
            assert.ok(!cells.has(`${x},${y}`), `${title} overlaps`);
            cells.add(`${x},${y}`);
          }
      }
    });
});
