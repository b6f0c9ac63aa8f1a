/** A witness: a service of its own, run by somebody else than the log, that cosigns what extends what it cosigned before. */
import rateLimit from '@fastify/rate-limit';
import Fastify, { LogController, type FastifyInstance, type FastifyReply } from 'fastify';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { TriplineError } from '../../schemas/errors.ts';
import type { WitnessConfig } from '../../schemas/witness/v1.ts';
import { MAX_REQUEST_BYTES, parseAddCheckpoint, TLOG_SIZE_TYPE } from '../evidence/tlog/add-checkpoint.ts';
import {
  cosign,
  formatSignature,
  formatVkey,
  noteKey,
  NOTE_KEY_TYPES,
  parseVkey,
  type NoteKey,
} from '../evidence/tlog/note.ts';
import type { Clock } from '../platform/clock.ts';
import { expandHome } from '../platform/config/load.ts';
import { makeDirectory } from '../platform/directory.ts';
import { ed25519Sign, nodeCrypto, sha256 } from '../platform/ledger/crypto.ts';
import { loadKeyFile, type SigningKey } from '../platform/ledger/key-file.ts';
import { WitnessState } from './state.ts';
import { checkSender, decide, type Decision, type KnownLogs } from './step.ts';

export interface RunningWitness {
  readonly url: string;
  /** For the policy files of those who trust it. */
  readonly vkey: string;
  stop(): Promise<void>;
}

const MINUTE_MS = 60_000;
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_CONNECTIONS = 256;
const PLAIN = 'text/plain; charset=utf-8';

/** Throws config_invalid for log keys that are none, and for a key file that others can read. */
export async function startWitness(
  config: WitnessConfig,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<RunningWitness> {
  const logs = knownLogs(config.logs);
  const dir = expandHome(config.stateDir);
  makeDirectory(dir);
  const signing = await loadKeyFile(dir, 'witness');
  const key = noteKey(config.name, NOTE_KEY_TYPES.cosignature, signing.publicKey, sha256);
  const state = await WitnessState.open(dir);
  const http = await buildServer(config, log);
  const witness = new Witness({ logs, state, signing, key, clock, log });
  http.post('/add-checkpoint', async (request, reply) => witness.addCheckpoint(request.body, reply));
  http.get('/healthz', async () => ({ status: 'ok' }));
  await http.listen({ host: config.http.host, port: config.http.port });
  const { port } = http.server.address() as AddressInfo;
  const host = config.http.host.includes(':') ? `[${config.http.host}]` : config.http.host;
  const stop = async (): Promise<void> => {
    await http.close();
    await state.close();
  };
  return { url: `http://${host}:${port}`, vkey: formatVkey(key), stop };
}

function knownLogs(vkeys: readonly string[]): KnownLogs {
  const logs = new Map<string, NoteKey[]>();
  for (const [at, vkey] of vkeys.entries()) {
    const key = parseVkey(vkey, sha256);
    if (key === undefined || key.type !== NOTE_KEY_TYPES.ed25519)
      throw new TriplineError('config_invalid', `logs[${at}]: no verifier key of a log`, {
        path: `logs[${at}]`,
      });
    logs.set(key.name, [...(logs.get(key.name) ?? []), key]);
  }
  return logs;
}

async function buildServer(config: WitnessConfig, log: Logger): Promise<FastifyInstance> {
  const http = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_REQUEST_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
  }) as unknown as FastifyInstance;
  http.server.maxConnections = MAX_CONNECTIONS;
  await http.register(rateLimit, { max: config.http.rateLimitPerMinute, timeWindow: MINUTE_MS });
  http.removeAllContentTypeParsers();
  http.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  return http;
}

interface WitnessParts {
  readonly logs: KnownLogs;
  readonly state: WitnessState;
  readonly signing: SigningKey;
  readonly key: NoteKey;
  readonly clock: Clock;
  readonly log: Logger;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Witness {
  readonly #parts: WitnessParts;

  constructor(parts: WitnessParts) {
    this.#parts = parts;
  }

  async addCheckpoint(body: unknown, reply: FastifyReply): Promise<FastifyReply> {
    const { logs, state } = this.#parts;
    const text = textOf(body);
    const request = text === undefined ? undefined : parseAddCheckpoint(text);
    if (text === undefined || request === undefined)
      return answer(reply, 400, 'the request has not the form\n');
    const sender = checkSender(request, logs, nodeCrypto);
    if (sender !== 'signed') return await this.#answer(reply, { kind: sender });
    const { origin } = request.checkpoint;
    const before = state.latest(origin);
    const decision = await state.update(origin, (latest) => decide(request, latest, nodeCrypto));
    if (decision.kind === 'root_differs' || decision.kind === 'proof_invalid') {
      const file = await state.keepFork(before, decision.note, text);
      this.#parts.log.error(
        { origin, file, why: decision.kind },
        'a checkpoint that the log signed was refused',
      );
    }
    return await this.#answer(reply, decision, request.checkpoint.note.text);
  }

  async #answer(reply: FastifyReply, decision: Decision, noteText = ''): Promise<FastifyReply> {
    const { key, signing, clock } = this.#parts;
    switch (decision.kind) {
      case 'cosign': {
        const sign = (message: Uint8Array): Uint8Array => ed25519Sign(signing.privateKey, message);
        const seconds = Math.floor(clock.nowMs() / 1000);
        return answer(reply, 200, formatSignature(cosign(noteText, seconds, { key, sign })));
      }
      case 'unknown_log':
        return answer(reply, 404, 'the log is not known\n');
      case 'not_signed':
        return answer(reply, 403, 'no signature of the log verifies\n');
      case 'old_size_larger':
        return answer(reply, 400, 'the old size is the larger one\n');
      case 'other_size':
        return answer(reply.type(TLOG_SIZE_TYPE), 409, `${decision.size}\n`, TLOG_SIZE_TYPE);
      case 'root_differs':
      case 'proof_invalid':
        return answer(reply, 422, 'it does not extend the checkpoint that was cosigned last\n');
    }
  }
}

function answer(reply: FastifyReply, status: number, body: string, type = PLAIN): FastifyReply {
  return reply.status(status).type(type).send(body);
}

function textOf(body: unknown): string | undefined {
  if (!(body instanceof Uint8Array)) return undefined;
  try {
    return decoder.decode(body);
  } catch {
    return undefined;
  }
}
