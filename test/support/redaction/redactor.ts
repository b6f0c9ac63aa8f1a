/** A redactor without a host: rules as a file would give them, a key that is written down, a memory in a directory. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zRedaction, type Redaction } from '../../../schemas/redaction/v1.ts';
import type { DraftBody, EventDraft } from '../../../services/capture/draft.ts';
import { LineWriter, prepareLines } from '../../../services/capture/encode.ts';
import { DraftRedactor } from '../../../services/capture/redaction/draft-redactor.ts';
import { keyedBy, type Keyed } from '../../../services/capture/redaction/key.ts';
import { redactionHash, RedactionRules } from '../../../services/capture/redaction/rules.ts';
import { SessionMemory } from '../../../services/capture/redaction/session-memory.ts';
import { sha256Hex } from '../capture/observer.ts';

export const KEY = Buffer.alloc(32, 7);
export const OTHER_KEY = Buffer.alloc(32, 8);

export interface TestRedactor {
  readonly redactor: DraftRedactor;
  readonly logged: string[];
  /** Redacts arguments or a result; answers the events of its lines and the lines. */
  record(of: 'args' | 'result', body: string, about?: Record<string, unknown>): Recorded;
}

export interface Recorded {
  readonly lines: readonly string[];
  readonly events: readonly Record<string, unknown>[];
}

const memoryDirectory = (): string => mkdtempSync(path.join(tmpdir(), 'tripline-redaction-'));

export function redactorOf(
  rules: readonly object[],
  options: {
    readonly key?: Buffer;
    readonly directory?: string;
    readonly session?: string;
    readonly follow?: boolean;
  } = {},
): TestRedactor {
  const { key = KEY, directory = memoryDirectory(), session = 's', follow = true } = options;
  const policy = zRedaction.parse({ v: 1, id: 'test', version: 1, follow, rules });
  return newRedactor(policy, keyedBy(key), { directory, session });
}

/** Of a file that was read, and a key. */
export function newRedactor(
  policy: Redaction,
  keyed: Keyed,
  {
    directory = memoryDirectory(),
    session = 's',
  }: { readonly directory?: string; readonly session?: string } = {},
): TestRedactor {
  const logged: string[] = [];
  const log = (_level: string, message: string): void => void logged.push(message);
  const memory = policy.follow ? new SessionMemory({ directory, session, keyed, log }) : undefined;
  const redactor = new DraftRedactor({
    rules: new RedactionRules(policy),
    identity: { id: policy.id, version: policy.version, hash: redactionHash(policy), keyId: keyed.keyId },
    keyed,
    session,
    memory,
    server: 'vault',
    sha256Hex,
  });
  const record = (of: 'args' | 'result', text: string, about: Record<string, unknown> = {}): Recorded => {
    const lines = linesOf(redactor.redact(draftOf(of, text, about)));
    return { lines, events: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
  };
  return { redactor, logged, record };
}

function bodyOf(of: 'args' | 'result', text: string): DraftBody {
  const bytes = Buffer.from(text);
  return { of, bytes, span: { start: 0, end: bytes.length }, hash: sha256Hex(bytes) };
}

function draftOf(of: 'args' | 'result', text: string, about: Record<string, unknown>): EventDraft {
  const body = bodyOf(of, text);
  const facts =
    of === 'args'
      ? { argsHash: body.hash, argsBytes: body.bytes.length }
      : { resultHash: body.hash, resultBytes: body.bytes.length, outcome: 'ok' };
  return {
    kind: of === 'args' ? 'call.intent' : 'call.result',
    timeMs: 0,
    fields: { callId: 'c', tool: 'get_secret', server: 'vault', ...facts, ...about },
    body,
  };
}

const IDENTITY = { stream: '0'.repeat(32), session: 's', agent: 'a', principal: undefined, host: undefined };

function linesOf(draft: EventDraft): readonly string[] {
  return prepareLines(draft).map((line, seq) =>
    Buffer.from(new LineWriter().add(line, IDENTITY, { seq, nonce: '0'.repeat(32) })).toString(),
  );
}
