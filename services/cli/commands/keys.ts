/** keys: the agent key of this host, and which agent keys count for a tenant. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import { systemClock } from '../../platform/clock.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { makeDirectory } from '../../platform/directory.ts';
import { loadKeyFile } from '../../platform/ledger/key-file.ts';
import { dataDirOf, runsIn } from '../client.ts';
import { connect, type CommandContext } from '../command.ts';
import { table, visible } from '../output.ts';

/** Makes `agent.key` (mode 0600) and `agent.pub` in the data directory, where taps find it; an existing key stays. */
export async function createAgentKey({ io, output }: CommandContext): Promise<void> {
  const dir = dataDirOf(io.env);
  makeDirectory(dir);
  const file = join(dir, 'agent.key');
  const created = !existsSync(file);
  const { publicKey, keyId } = await loadKeyFile(dir, 'agent');
  const text = Buffer.from(publicKey).toString('base64');
  output.item({ file, created, keyId, publicKey: text }, () =>
    [
      `${file} ${created ? 'made' : 'was there already'}`,
      `public key ${text}`,
      `register it where the service is: tripline keys register ${text} --name ${visible(keyId.slice(0, 8))}`,
    ].join('\n'),
  );
}

export interface RegisterOptions {
  readonly name: string;
  readonly tenant: string | undefined;
}

const query = (tenant: string | undefined): string =>
  tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`;

/** Only while nothing runs on the data directory: the running signer holds the old key. */
export async function rotateLog(
  { io, output }: CommandContext,
  configFile: string | undefined,
): Promise<void> {
  const config = loadConfig({ file: configFile ?? io.env['TRIPLINE_CONFIG'], env: io.env, overrides: [] });
  const { dataDir: dir, deployment } = config;
  if (!existsSync(join(dir, 'log.key')))
    throw new TriplineError('usage', `${dir} holds no log.key: run this where step sign runs`);
  if (runsIn(dir)) throw new TriplineError('data_dir_locked', 'stop the service first');
  const { openSignerState, rotateLogKey } = await import('../../sign/main.ts');
  const database = openSignerState(dir);
  try {
    const { rotation, key } = await rotateLogKey({ dir, database, deployment, clock: systemClock });
    const publicKey = Buffer.from(key.publicKey).toString('base64');
    output.item({ keyId: key.keyId, publicKey, rootLeaf: rotation.index }, () =>
      [
        `log key rotated: ${publicKey} from root leaf ${rotation.index} on`,
        'start the service again, and give /v1/log/root/vkey to your witnesses: they refuse the new key until then',
      ].join('\n'),
    );
  } finally {
    await database.close();
  }
}

/** `key`: in base64, or a file that holds it. */
export async function registerKey(
  context: CommandContext,
  key: string,
  { name, tenant }: RegisterOptions,
): Promise<void> {
  const publicKey = /^[A-Za-z0-9+/]{43}=$/.test(key) ? key : readKey(key);
  const answer = (await connect(context).post(`/v1/keys${query(tenant)}`, { publicKey, name })) as {
    readonly keyId: string;
    readonly tenant: string;
  };
  context.output.item(answer, () => `key ${answer.keyId} registered for ${visible(answer.tenant)}`);
}

function readKey(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new TriplineError('usage', `${file} is no key in base64 and cannot be read as a file`, { cause });
  }
}

interface Key {
  readonly tenant: string;
  readonly keyId: string;
  readonly name: string;
  readonly status: string;
  readonly registeredAt: string;
}

export async function listKeys(context: CommandContext, tenant: string | undefined): Promise<void> {
  const keys: Key[] = [];
  for await (const item of connect(context).items('/v1/keys', { tenant }, 10_000)) keys.push(item as Key);
  if (context.output.json) {
    for (const key of keys) context.output.item(key, () => '');
    return;
  }
  const rows = keys.map((key) =>
    [key.tenant, key.keyId, key.name, key.status, key.registeredAt].map((cell) => visible(cell)),
  );
  context.output.text(table(['TENANT', 'KEY', 'NAME', 'STATUS', 'REGISTERED'], rows));
}

export async function revokeKey(
  context: CommandContext,
  keyId: string,
  { reason, tenant }: { readonly reason: string; readonly tenant: string | undefined },
): Promise<void> {
  const path = `/v1/keys/${encodeURIComponent(keyId)}/revoke${query(tenant)}`;
  const answer = (await connect(context).post(path, { reason })) as { readonly keyId: string };
  context.output.item(answer, () => `key ${visible(answer.keyId)} revoked`);
}
