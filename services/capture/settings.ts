/** Settings of capture from the environment of the host and the data directory. `env` is an argument: only main.ts knows the process. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import path from 'node:path';
import { TriplineError } from '../../schemas/errors.ts';
import { TOOL_CLASSES, type ToolClass } from '../../schemas/event/v1.ts';
import type { HoldSettings } from './holds.ts';
import { boundaryFromFile, type BoundarySettings } from './labels/host-labels.ts';
import type { HostPolicySettings } from './policy/host-policy.ts';
import type { HostRedactionSettings } from './redaction/host-redaction.ts';
import type { ServiceAddress } from './recorder/publisher.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface CaptureSettings {
  readonly dataDir: string;
  readonly sessionId: string | undefined;
  readonly agent: string;
  readonly principal: string | undefined;
  readonly host: string;
  /** Pinned control keys as the operator wrote them; undefined = control.pub of the data directory. */
  readonly controlKeys: string | undefined;
  /** What a call meets while the control channel is lost. */
  readonly onChannelLost: 'open' | 'closed';
  readonly onSpoolFull: 'gap' | 'block';
  readonly spoolMaxBytes: number;
  readonly spoolFsync: boolean;
  /** The key that vouches for the keys of our streams; a file that is not there: nothing is signed. */
  readonly agentKeyFile: string;
  readonly injectTrace: boolean;
  /** Calls that wait for the verdict on their intent; undefined = none do. */
  readonly hold: HoldSettings | undefined;
  /** The policy of this host; undefined = none, all calls may leave. */
  readonly policy: HostPolicySettings | undefined;
  /** What is kept off the record; undefined = bodies are recorded as they are. */
  readonly redaction?: HostRedactionSettings | undefined;
  /** Trust and data labels, and what of them the host wants on the wire; undefined = what classes and detectors say. */
  readonly boundary?: BoundarySettings | undefined;
  /** Asked before each request: the service may be started after its hosts. */
  readonly address: () => ServiceAddress;
}

const DEFAULT_URL = 'http://127.0.0.1:8747';
const DEFAULT_SPOOL_BYTES = 256 * 1024 * 1024;
const MAX_NAME_CHARACTERS = 256;
const DEFAULT_HOLD_MS = 50;
const MAX_HOLD_MS = 10_000;
const RISKY_CLASSES: readonly ToolClass[] = [
  'external_post',
  'message',
  'payment',
  'delete',
  'publish',
  'admin',
];

function readTrimmed(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}

/** `{"url":…}` that a running service leaves in its data directory. */
function urlOfRunningService(dataDir: string): string | undefined {
  const text = readTrimmed(path.join(dataDir, 'run.json'));
  if (text === undefined) return undefined;
  try {
    const url = (JSON.parse(text) as { readonly url?: unknown } | null)?.url;
    return typeof url === 'string' && URL.canParse(url) ? url : undefined;
  } catch {
    return undefined;
  }
}

export function expandHome(directory: string): string {
  return directory === '~' || directory.startsWith('~/')
    ? path.join(homedir(), directory.slice(1))
    : path.resolve(directory);
}

function fault(name: string, expected: string): TriplineError {
  return new TriplineError('config_invalid', `${name} must be ${expected}`, { path: name });
}

function value(env: Environment, name: string): string | undefined {
  const text = env[name];
  return text === undefined || text === '' ? undefined : text;
}

function oneOf<const T extends string>(env: Environment, name: string, allowed: readonly T[]): T | undefined {
  const text = value(env, name);
  if (text === undefined) return undefined;
  const found = allowed.find((candidate) => candidate === text);
  if (found === undefined) throw fault(name, allowed.join(' or '));
  return found;
}

function flag(env: Environment, name: string): boolean {
  const text = oneOf(env, name, ['1', 'true', 'yes', '0', 'false', 'no']);
  return text === '1' || text === 'true' || text === 'yes';
}

function readBytes(env: Environment, name: string, fallback: number): number {
  const text = value(env, name);
  if (text === undefined) return fallback;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 65_536)
    throw fault(name, 'a number of bytes, at least 65536');
  return number;
}

function readName(env: Environment, key: string): string | undefined {
  const text = value(env, key);
  if (text === undefined) return undefined;
  if (text.length > MAX_NAME_CHARACTERS || /[\p{Cc}\p{Cs}]/u.test(text)) {
    throw fault(key, 'a name of at most 256 characters without control characters');
  }
  return text;
}

/** `risky` stands for the classes whose calls leave something behind outside. */
function readHold(env: Environment): HoldSettings | undefined {
  const text = value(env, 'TRIPLINE_HOLD');
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find(
    (name) => name !== 'risky' && !(TOOL_CLASSES as readonly string[]).includes(name),
  );
  if (unknown !== undefined) throw fault('TRIPLINE_HOLD', `risky or tool classes, separated by commas`);
  const classes = names.flatMap((name) => (name === 'risky' ? RISKY_CLASSES : [name as ToolClass]));
  const budget = value(env, 'TRIPLINE_HOLD_BUDGET_MS');
  const budgetMs = budget === undefined ? DEFAULT_HOLD_MS : Number(budget);
  if (!Number.isSafeInteger(budgetMs) || budgetMs < 1 || budgetMs > MAX_HOLD_MS)
    throw fault('TRIPLINE_HOLD_BUDGET_MS', `whole milliseconds from 1 to ${MAX_HOLD_MS}`);
  const onTimeout = oneOf(env, 'TRIPLINE_HOLD_ON_TIMEOUT', ['open', 'closed']) ?? 'open';
  return { classes: new Set(classes), budgetMs, onTimeout };
}

function readPolicySettings(env: Environment): HostPolicySettings | undefined {
  const file = value(env, 'TRIPLINE_POLICY');
  const environment = readName(env, 'TRIPLINE_ENVIRONMENT');
  const task = readName(env, 'TRIPLINE_TASK');
  return file === undefined ? undefined : { file: expandHome(file), environment, task };
}

function readRedactionSettings(env: Environment, dataDir: string): HostRedactionSettings | undefined {
  const file = value(env, 'TRIPLINE_REDACTION');
  const keyFile = value(env, 'TRIPLINE_REDACTION_KEY') ?? path.join(dataDir, 'redaction.key');
  return file === undefined ? undefined : { file: expandHome(file), keyFile: expandHome(keyFile), dataDir };
}

function readBoundarySettings(env: Environment): BoundarySettings | undefined {
  const file = value(env, 'TRIPLINE_LABELS');
  return file === undefined ? undefined : boundaryFromFile(expandHome(file), 'TRIPLINE_LABELS');
}

/** Who names a key wants signatures: without its file nothing would be signed, and nobody told. */
function readAgentKeyFile(env: Environment): string | undefined {
  const text = value(env, 'TRIPLINE_AGENT_KEY');
  if (text === undefined) return undefined;
  const file = expandHome(text);
  if (!existsSync(file)) throw fault('TRIPLINE_AGENT_KEY', `a file that is there: ${file} is not`);
  return file;
}

/** Settings of this host; throws config_invalid with the variable at fault. */
export function readSettings(env: Environment): CaptureSettings {
  const dataDir = expandHome(value(env, 'TRIPLINE_DATA_DIR') ?? '~/.tripline');
  const fixedUrl = value(env, 'TRIPLINE_URL');
  if (fixedUrl !== undefined && !URL.canParse(fixedUrl)) throw fault('TRIPLINE_URL', 'an http or https URL');
  const fixedToken = value(env, 'TRIPLINE_TOKEN');
  return {
    dataDir,
    sessionId: readName(env, 'TRIPLINE_SESSION_ID'),
    agent: readName(env, 'TRIPLINE_AGENT') ?? 'unknown',
    principal: readName(env, 'TRIPLINE_PRINCIPAL'),
    host: hostname(),
    controlKeys: value(env, 'TRIPLINE_CONTROL_KEYS'),
    onChannelLost: oneOf(env, 'TRIPLINE_ON_CHANNEL_LOST', ['open', 'closed']) ?? 'open',
    onSpoolFull: oneOf(env, 'TRIPLINE_ON_SPOOL_FULL', ['gap', 'block']) ?? 'gap',
    spoolMaxBytes: readBytes(env, 'TRIPLINE_SPOOL_MAX_BYTES', DEFAULT_SPOOL_BYTES),
    spoolFsync: flag(env, 'TRIPLINE_SPOOL_FSYNC'),
    agentKeyFile: readAgentKeyFile(env) ?? path.join(dataDir, 'agent.key'),
    injectTrace: flag(env, 'TRIPLINE_INJECT_TRACE'),
    hold: readHold(env),
    policy: readPolicySettings(env),
    redaction: readRedactionSettings(env, dataDir),
    boundary: readBoundarySettings(env),
    address: () => ({
      url: fixedUrl ?? urlOfRunningService(dataDir) ?? DEFAULT_URL,
      token: fixedToken ?? readTrimmed(path.join(dataDir, 'producer.token')),
    }),
  };
}
