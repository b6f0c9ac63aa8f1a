/** The gate's configuration made ready: secrets and PEM files read, URLs parsed. All faults come in one error. */
import { readFileSync } from 'node:fs';
import { TriplineError } from '../../../schemas/errors.ts';
import type { GateConfig, GateSecret, GateUpstreamConfig } from '../../../schemas/gate/v1.ts';
import type { BoundaryConfig } from '../../../schemas/labels/v1.ts';
import type { Environment } from '../settings.ts';
import { expandHome } from '../settings.ts';
import { isLoopback } from './peer-process.ts';

export interface GateUpstream {
  readonly name: string;
  readonly path: string;
  readonly url: URL;
  readonly agent: string | undefined;
  /** Lower-case names; set in the place of the client's. */
  readonly headers: readonly (readonly [string, string])[];
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly allowedOrigins: ReadonlySet<string>;
  readonly headerMismatch: GateUpstreamConfig['headerMismatch'];
  readonly oauthMetadata: GateUpstreamConfig['oauthMetadata'];
}

export interface GateClientKey {
  readonly id: string;
  readonly token: string;
  readonly agent: string | undefined;
}

export interface GateListen {
  readonly host: string;
  readonly port: number;
  readonly allowedHosts: ReadonlySet<string>;
  readonly publicUrl: string | undefined;
  readonly maxConnections: number;
  readonly maxHeldBytes: number;
  readonly tls:
    { readonly cert: Buffer; readonly key: Buffer; readonly clientCa: Buffer | undefined } | undefined;
}

export interface GateSettings {
  readonly listen: GateListen;
  readonly clients: readonly GateClientKey[];
  readonly sessions: GateConfig['sessions'];
  readonly streams: GateConfig['streams'];
  readonly upstreams: readonly GateUpstream[];
  /** Goes before that of the environment. */
  readonly boundary: BoundaryConfig | undefined;
}

const LOOPBACK_NAMES = ['127.0.0.1', 'localhost', '[::1]'];

/** Reads what the configuration refers to. Throws config_invalid with every fault. */
export function resolveGateConfig(config: GateConfig, env: Environment): GateSettings {
  const reader = new Reader(env);
  const upstreams = config.upstreams.map((upstream, index) => resolveUpstream(upstream, index, reader));
  const clients = config.clients.map(({ id, token, agent }, index) => ({
    id,
    token: reader.secret(token, `clients[${index}].token`),
    agent,
  }));
  const listen = resolveListen(config, reader);
  refuseTwins(upstreams, 'path', reader);
  refuseTwins(upstreams, 'name', reader);
  refuseOpenDoor(config, reader);
  if (reader.faults.length > 0)
    throw new TriplineError('config_invalid', `configuration has faults:\n  ${reader.faults.join('\n  ')}`);
  return {
    listen,
    clients,
    sessions: config.sessions,
    streams: config.streams,
    upstreams,
    boundary: config.labels,
  };
}

class Reader {
  readonly faults: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  secret(secret: GateSecret, at: string): string {
    if ('value' in secret) return secret.value;
    if ('file' in secret)
      return this.file(secret.file, `${at}.file`)
        .toString('utf8')
        .replace(/\r?\n$/u, '');
    const value = this.#env[secret.env];
    if (value === undefined || value === '') this.faults.push(`${at}.env: ${secret.env} is not set`);
    return value ?? '';
  }

  file(file: string, at: string): Buffer {
    try {
      const bytes = readFileSync(expandHome(file));
      if (bytes.length === 0) this.faults.push(`${at}: ${file} is empty`);
      return bytes;
    } catch {
      this.faults.push(`${at}: ${file} cannot be read`);
      return Buffer.alloc(0);
    }
  }

  fileIf(file: string | undefined, at: string): Buffer | undefined {
    return file === undefined ? undefined : this.file(file, at);
  }
}

function resolveUpstream(config: GateUpstreamConfig, index: number, reader: Reader): GateUpstream {
  const at = `upstreams[${index}]`;
  const url = new URL(config.url);
  if (url.username !== '' || url.password !== '')
    reader.faults.push(`${at}.url: holds a password; use headers`);
  const { ca, cert, key } = config.tls;
  if ((cert === undefined) !== (key === undefined))
    reader.faults.push(`${at}.tls: cert and key belong together`);
  return {
    name: config.name,
    path: config.path ?? `/${encodeURIComponent(config.name)}`,
    url,
    agent: config.agent,
    headers: Object.entries(config.headers).map(([name, value]) => [
      name.toLowerCase(),
      headerValue(value, `${at}.headers.${name}`, reader),
    ]),
    tls: definedOnly({
      ca: reader.fileIf(ca, `${at}.tls.ca`),
      cert: reader.fileIf(cert, `${at}.tls.cert`),
      key: reader.fileIf(key, `${at}.tls.key`),
    }),
    allowedOrigins: new Set(config.allowedOrigins.map((origin) => new URL(origin).origin)),
    headerMismatch: config.headerMismatch,
    oauthMetadata: config.oauthMetadata,
  };
}

function headerValue(value: GateUpstreamConfig['headers'][string], at: string, reader: Reader): string {
  if (typeof value === 'string') return value;
  const text = `${value.prefix ?? ''}${reader.secret(value.secret, `${at}.secret`)}`;
  if (!/^[\x20-\x7e]*$/u.test(text)) reader.faults.push(`${at}: must be visible ASCII characters`);
  return text;
}

function definedOnly<T extends object>(value: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}

function resolveListen({ listen }: GateConfig, reader: Reader): GateListen {
  const { tls } = listen;
  const publicHost = listen.publicUrl === undefined ? [] : [new URL(listen.publicUrl).hostname];
  return {
    host: listen.host,
    port: listen.port,
    allowedHosts: new Set(
      [...LOOPBACK_NAMES, bracketed(listen.host), ...listen.allowedHosts, ...publicHost].map((name) =>
        name.toLowerCase(),
      ),
    ),
    publicUrl: listen.publicUrl?.replace(/\/+$/u, ''),
    maxConnections: listen.maxConnections,
    maxHeldBytes: listen.maxHeldBytes,
    tls:
      tls === undefined
        ? undefined
        : {
            cert: reader.file(tls.cert, 'listen.tls.cert'),
            key: reader.file(tls.key, 'listen.tls.key'),
            clientCa: reader.fileIf(tls.clientCa, 'listen.tls.clientCa'),
          },
  };
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

function refuseTwins(upstreams: readonly GateUpstream[], field: 'name' | 'path', reader: Reader): void {
  const seen = new Set<string>();
  for (const upstream of upstreams) {
    if (seen.has(upstream[field])) reader.faults.push(`upstreams: ${upstream[field]} is the ${field} of two`);
    seen.add(upstream[field]);
  }
}

/** Everybody who reaches the gate uses the upstreams with the gate's own credentials. */
function refuseOpenDoor({ listen, clients }: GateConfig, reader: Reader): void {
  if (listen.host === 'localhost' || isLoopback(listen.host)) return;
  if (!listen.allowNonLoopback)
    reader.faults.push('listen.host: not loopback; set listen.allowNonLoopback if that is meant');
  if (clients.length === 0 && listen.tls?.clientCa === undefined)
    reader.faults.push('clients: needed (or listen.tls.clientCa) where listen.host is not loopback');
}

/** For printing: paths as they are, no secret. */
export function endpointsOf(
  settings: GateSettings,
  url: string,
): readonly Readonly<Record<string, string>>[] {
  return settings.upstreams.map(({ name, path: at }) => ({ server: name, url: new URL(at, url).href }));
}

/** Path and query of a request target, as they were written. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf('?');
  return mark === -1
    ? { path: target, query: '' }
    : { path: target.slice(0, mark), query: target.slice(mark) };
}
