/**
 * What redaction adds to a body: CPU time a kB with rules for secrets, a path and two own patterns, and 100 values that the
 * session knows. Bodies in which nothing is found, which nearly all are, one that looks suspicious, and one with a key in it.
 */
import { createHash } from 'node:crypto';
import { zRedaction } from '../../schemas/redaction/v1.ts';
import { keyedBy } from '../../services/capture/redaction/key.ts';
import { KnownValues } from '../../services/capture/redaction/known-values.ts';
import { newBudget, redactBody, type RedactionContext } from '../../services/capture/redaction/redact.ts';
import { RedactionRules } from '../../services/capture/redaction/rules.ts';
import { result, type Bench, type BenchResult } from './bench.ts';
import { BODIES, cpuUs } from './labels.bench.ts';

const WORK_BYTES = 2_000_000;
const KNOWN = 100;
const SECRET = 'AKIAIOSFODNN7EXAMPLE';
const keyed = keyedBy(Buffer.alloc(32, 7));
const rule = { action: 'digest' };
const PATTERNS = { ...rule, id: 'own', patterns: ['\\bEMP-\\d{6}\\b', '\\bDE\\d{20}\\b'] };
const SECRETS = { ...rule, id: 'secrets', secrets: 'all' };
/** A path takes every body apart, found or not. */
const PATH = { ...rule, id: 'path', paths: ['$.structuredContent.token'] };

function contextOf(rules: readonly object[], known: number): RedactionContext {
  const policy = zRedaction.parse({ v: 1, id: 'bench', version: 1, rules });
  const subject = { server: 's', tool: 't', method: undefined, of: 'result' } as const;
  const memory = new KnownValues(keyed, 's');
  const by = { rule: 'path', action: 'digest', keepLast: 0 } as const;
  for (let n = 0; n < known; n++) {
    const value = createHash('sha256').update(`${n}`).digest('base64').slice(0, 32);
    memory.remember(value, keyed.digest(value), by);
  }
  return {
    selected: new RedactionRules(policy).select(subject),
    keyed,
    known: (text) => memory.find(text, newBudget()),
  };
}

function row(name: string, body: unknown, context: RedactionContext): BenchResult {
  const bytes = Buffer.from(JSON.stringify(body));
  const kB = bytes.length / 1024;
  const times = Math.ceil(WORK_BYTES / bytes.length);
  const value = cpuUs(() => void redactBody(bytes, context, new KnownValues(keyed, 's')), times) / kB;
  const baseline = cpuUs(() => void JSON.parse(bytes.toString()), times) / kB;
  return result(`redaction_${name}`, { value, baseline, unit: 'µs/kB' }, 'beside decoding and JSON.parse');
}

function run(): readonly BenchResult[] {
  const found = { content: [{ type: 'text', text: `${JSON.stringify(BODIES['prose'])} key ${SECRET}` }] };
  const searched = contextOf([SECRETS, PATTERNS], KNOWN);
  const apart = contextOf([SECRETS, PATTERNS, PATH], KNOWN);
  return [
    ...Object.entries(BODIES).map(([name, body]) => row(name, body, searched)),
    row('found', found, searched),
    ...Object.entries(BODIES).map(([name, body]) => row(`path_${name}`, body, apart)),
  ];
}

export const redaction: Bench = {
  name: 'redaction',
  about: 'what redaction adds to a body in capture',
  run: async () => Promise.resolve(run()),
};
