/** keys: the agent key of this host, and which agent keys count for a tenant. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import { loadKeyFile } from '../../platform/ledger/key-file.ts';
import { dataDirOf } from '../client.ts';
import { connect, type CommandContext } from '../command.ts';
import { table, visible } from '../output.ts';

/** Makes `agent.key` (mode 0600) and `agent.pub` in the data directory, where taps find it; an existing key stays. */
export async function createAgentKey({ io, output }: CommandContext): Promise<void> {
  const dir = dataDirOf(io.env);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
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
