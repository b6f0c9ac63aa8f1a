/**
 * Environment variables as configuration. Every name that Tripline reads stands here; another TRIPLINE_* name is a
 * fault (a misspelt one must not be silently without effect).
 */

/** A value for a path of the configuration, and where it came from (for fault messages). */
export interface EnvironmentSetting {
  readonly name: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

type Reader = (value: string) => readonly Omit<EnvironmentSetting, 'name'>[];

const text =
  (...path: string[]): Reader =>
  (value) => [{ path, value }];
const integer =
  (...path: string[]): Reader =>
  (value) => [{ path, value: /^-?\d+$/.test(value) ? Number(value) : value }];

const READERS: Readonly<Record<string, Reader>> = {
  TRIPLINE_DATA_DIR: text('dataDir'),
  TRIPLINE_DEPLOYMENT: text('deployment'),
  TRIPLINE_HTTP_HOST: text('http', 'host'),
  TRIPLINE_HTTP_PORT: integer('http', 'port'),
  TRIPLINE_LOG_LEVEL: text('log', 'level'),
  TRIPLINE_OTLP_PORT: integer('otlp', 'port'),
  TRIPLINE_KAFKA_BROKERS: (value) => [
    { path: ['bus', 'kind'], value: 'kafka' },
    {
      path: ['bus', 'brokers'],
      value: value
        .split(',')
        .map((broker) => broker.trim())
        .filter((broker) => broker !== ''),
    },
  ],
  TRIPLINE_KAFKA_REPLICATION_FACTOR: integer('bus', 'replicationFactor'),
  TRIPLINE_KAFKA_NAME_PREFIX: text('bus', 'namePrefix'),
  TRIPLINE_BUS_PARTITIONS: integer('bus', 'partitions'),
  TRIPLINE_CLICKHOUSE_URL: (value) => [
    { path: ['store', 'kind'], value: 'clickhouse' },
    { path: ['store', 'url'], value },
  ],
  TRIPLINE_CLICKHOUSE_USERNAME: text('store', 'username'),
  TRIPLINE_CLICKHOUSE_PASSWORD_FILE: text('store', 'password', 'file'),
  TRIPLINE_CLICKHOUSE_DATABASE: text('store', 'database'),
  TRIPLINE_SIGNER_URL: text('signer', 'url'),
  TRIPLINE_SIGNER_TOKEN_FILE: text('signer', 'token', 'file'),
};

/** Read elsewhere (hosts, commands, tests), so known and no configuration. */
const OTHER_NAMES: ReadonlySet<string> = new Set([
  'TRIPLINE_URL',
  'TRIPLINE_TOKEN',
  'TRIPLINE_TENANT',
  'TRIPLINE_CONFIG',
  'TRIPLINE_SESSION_ID',
  'TRIPLINE_AGENT',
  'TRIPLINE_AGENT_KEY',
  'TRIPLINE_PRINCIPAL',
  'TRIPLINE_CONTROL_KEYS',
  'TRIPLINE_ON_CHANNEL_LOST',
  'TRIPLINE_ON_SPOOL_FULL',
  'TRIPLINE_SPOOL_MAX_BYTES',
  'TRIPLINE_SPOOL_FSYNC',
  'TRIPLINE_INJECT_TRACE',
  'TRIPLINE_TAP_DEPTH',
  'TRIPLINE_HOLD',
  'TRIPLINE_HOLD_BUDGET_MS',
  'TRIPLINE_HOLD_ON_TIMEOUT',
  'TRIPLINE_LABELS',
  'TRIPLINE_POLICY',
  'TRIPLINE_ENVIRONMENT',
  'TRIPLINE_TASK',
  'TRIPLINE_REDACTION',
  'TRIPLINE_REDACTION_KEY',
]);

export const ENVIRONMENT_NAMES: readonly string[] = [...Object.keys(READERS), ...OTHER_NAMES].toSorted(
  (a, b) => (a < b ? -1 : 1),
);

/** Settings in the environment, and the names that nobody reads. Empty values count as absent. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): {
  readonly settings: readonly EnvironmentSetting[];
  readonly unknown: readonly string[];
} {
  const settings: EnvironmentSetting[] = [];
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('TRIPLINE_') || value === undefined || value === '') continue;
    const reader = READERS[name];
    if (reader !== undefined) settings.push(...reader(value).map((setting) => ({ name, ...setting })));
    else if (!OTHER_NAMES.has(name)) unknown.push(name);
  }
  return { settings, unknown };
}
