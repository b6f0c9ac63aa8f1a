/** A policy file → a policy, or every fault of it with its line. YAML; JSON is YAML. */
import { createHash } from 'node:crypto';
import { isNode, LineCounter, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { zPolicy, type Policy } from '../../../schemas/policy/v1.ts';

export interface PolicyFault {
  readonly line: number;
  /** Where in the document, such as `allow[0].classes`. */
  readonly at: string;
  readonly message: string;
}

interface Faults {
  readonly kind: 'faults';
  readonly faults: readonly PolicyFault[];
}
export type PolicyReading =
  | { readonly kind: 'policy'; readonly policy: Policy; readonly hash: string; readonly lineOf: LineOf }
  | Faults;
export type DocumentReading<T> =
  { readonly kind: 'value'; readonly value: T; readonly lineOf: LineOf } | Faults;

/** Line of what stands at a path of the document, from 1. */
export type LineOf = (at: readonly PropertyKey[]) => number;

const MAX_POLICY_BYTES = 1024 * 1024;

function faulty(faults: readonly PolicyFault[]): Faults {
  return { kind: 'faults', faults };
}

/** Reads a policy from the exact bytes of its file; `hash` is their SHA-256. */
export function readPolicy(bytes: Uint8Array): PolicyReading {
  const reading = readDocument(bytes, zPolicy);
  if (reading.kind === 'faults') return reading;
  const hash = createHash('sha256').update(bytes).digest('hex');
  return { kind: 'policy', policy: reading.value, hash, lineOf: reading.lineOf };
}

/** Reads a file of YAML that a strict schema takes. */
export function readDocument<T>(bytes: Uint8Array, schema: z.ZodType<T>): DocumentReading<T> {
  if (bytes.length > MAX_POLICY_BYTES) return faulty([{ line: 1, at: '', message: 'longer than 1 MiB' }]);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return faulty([{ line: 1, at: '', message: 'is no UTF-8' }]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0)
    return faulty(
      document.errors.map((error) => ({
        line: lines.linePos(error.pos[0]).line,
        at: '',
        message: error.message.split('\n')[0] ?? 'no YAML',
      })),
    );
  const lineOf: LineOf = (at) => lineAt(document, lines, at);
  const value = plainValue(document);
  if (value.kind === 'fault') return faulty([{ line: 1, at: '', message: value.message }]);
  const parsed = schema.safeParse(value.value);
  if (!parsed.success) return faulty(parsed.error.issues.flatMap((issue) => faultsOf(issue, lineOf)));
  return { kind: 'value', value: parsed.data, lineOf };
}

function plainValue(
  document: Document,
):
  { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'fault'; readonly message: string } {
  try {
    return { kind: 'value', value: document.toJS({ maxAliasCount: 100 }) as unknown };
  } catch {
    // Aliases that grow without end, or that nothing anchors.
    return { kind: 'fault', message: 'its aliases cannot be followed' };
  }
}

/** Line of the innermost node on the way to `at` that stands in the text. */
function lineAt(document: Document, lines: LineCounter, at: readonly PropertyKey[]): number {
  for (let length = at.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(at.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

function faultsOf(issue: z.core.$ZodIssue, lineOf: LineOf): readonly PolicyFault[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      line: lineOf([...issue.path, key]),
      at: pathText([...issue.path, key]),
      message: 'unknown key',
    }));
  return [{ line: lineOf(issue.path), at: pathText(issue.path), message: issue.message }];
}

function pathText(at: readonly PropertyKey[]): string {
  return at
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./u, '');
}

/** One fault a line, for people. */
export function faultText(file: string, { line, at, message }: PolicyFault): string {
  return `${file}:${line}: ${at === '' ? '' : `${at}: `}${message}`;
}
