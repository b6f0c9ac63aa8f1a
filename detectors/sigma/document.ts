/** Files of Sigma YAML → checked documents that know their lines. Files come from strangers: nothing here trusts them. */
import { isScalar, LineCounter, parseAllDocuments, type Document } from 'yaml';
import { z } from 'zod';
import { LEVELS } from '../../schemas/alert/v1.ts';
import { lineIn } from './lines.ts';
import type { Place, Refusal } from './refusal.ts';

export interface SigmaFile {
  readonly path: string;
  readonly text: string;
}

const zText = z.string().min(1).max(65_535);
const zTexts = z
  .union([zText, z.array(zText)])
  .transform((value) => (typeof value === 'string' ? [value] : value));

/** What rules of both kinds share (Sigma specification 2.1.0); attributes that it does not name are custom and stay unread. */
const zCommon = {
  title: z.string().min(1).max(256),
  id: z.string().min(1).max(128).optional(),
  name: z.string().min(1).max(128).optional(),
  status: z.enum(['stable', 'test', 'experimental', 'deprecated', 'unsupported']).optional(),
  description: z.string().max(65_535).optional(),
  author: z.string().max(1_024).optional(),
  references: zTexts.optional(),
  falsepositives: zTexts.optional(),
  tags: z.array(z.string().min(1).max(128)).max(64).optional(),
  level: z.enum(LEVELS).optional(),
  taxonomy: z.string().optional(),
};
const zNullable = z.string().nullish();

export const zEventRule = z.looseObject({
  ...zCommon,
  logsource: z.looseObject({ product: zNullable, category: zNullable, service: zNullable }),
  detection: z.record(z.string(), z.unknown()),
});
export const zCorrelationRule = z.looseObject({
  ...zCommon,
  correlation: z.strictObject({
    type: z.string(),
    rules: z.array(z.string().min(1)).min(1).max(64),
    'group-by': z.array(z.string().min(1).max(256)).max(16).nullish(),
    timespan: z.string(),
    condition: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
    aliases: z.record(z.string(), z.record(z.string(), z.string())).optional(),
    generate: z.boolean().optional(),
  }),
  generate: z.boolean().optional(),
});
export type EventRule = z.infer<typeof zEventRule>;
export type CorrelationRule = z.infer<typeof zCorrelationRule>;

export interface Source {
  readonly path: string;
  lineOf(at: Place): number;
}
export type SigmaDocument =
  | { readonly kind: 'event'; readonly source: Source; readonly rule: EventRule }
  | { readonly kind: 'correlation'; readonly source: Source; readonly rule: CorrelationRule };
export interface ReadFile {
  readonly documents: readonly SigmaDocument[];
  readonly refusals: readonly Refusal[];
}

const MAX_FILE_CHARACTERS = 1024 * 1024;

/** The name of a place: `detection.selection.tool`. */
export const placeText = (at: readonly PropertyKey[]): string => at.map(String).join('.') || 'the document';

function refusalAt(source: Source, at: readonly PropertyKey[], why: string): Refusal {
  const place = at.map((part) => (typeof part === 'number' ? part : String(part)));
  return { path: source.path, line: source.lineOf(place), what: placeText(at), why };
}

function readDocument(document: Document, source: Source): ReadFile {
  const [broken] = document.errors;
  if (broken !== undefined) {
    const line = broken.linePos?.[0].line ?? 1;
    const why = broken.message.split('\n')[0] ?? '';
    return refused({ path: source.path, line, what: 'the document', why });
  }
  return checkValue(valueOf(document), source);
}

/** The document as plain data, or why there is none. */
function valueOf(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // The YAML library: an alias of nothing, or so many that they would not end.
    return new Error(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function checkValue(value: unknown, source: Source): ReadFile {
  if (value instanceof Error) return refused(refusalAt(source, [], value.message));
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refused(refusalAt(source, [], 'is no Sigma rule'));
  if ('action' in value)
    return refused(refusalAt(source, ['action'], 'collections by action ended with Sigma version 2'));
  return checkDocument(value, source);
}

function checkDocument(value: object, source: Source): ReadFile {
  const kind = 'correlation' in value ? 'correlation' : 'event';
  const parsed = (kind === 'correlation' ? zCorrelationRule : zEventRule).safeParse(value);
  if (!parsed.success)
    return refused(...parsed.error.issues.map((issue) => refusalAt(source, issue.path, issue.message)));
  return { documents: [{ kind, source, rule: parsed.data } as SigmaDocument], refusals: [] };
}

const refused = (...refusals: readonly Refusal[]): ReadFile => ({ documents: [], refusals });

/** Null, written out or not. */
const isEmpty = (contents: unknown): boolean =>
  contents === null || (isScalar(contents) && contents.value === null);

/** Reads a file; what is no Sigma rule is refused, document by document. Never throws. */
export function readSigmaFile({ path, text }: SigmaFile): ReadFile {
  const whole = (why: string): ReadFile => refused({ path, line: 1, what: 'the file', why });
  if (text.length > MAX_FILE_CHARACTERS) return whole('is longer than 1 MiB');
  try {
    const lines = new LineCounter();
    const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true });
    // A separator at the end of a file begins a document that holds nothing.
    const filled = documents.filter(({ contents, errors }) => errors.length > 0 || !isEmpty(contents));
    if (filled.length === 0) return whole('holds no rule');
    const read = filled.map((document) =>
      readDocument(document, { path, lineOf: (at) => lineIn(document, lines, at) }),
    );
    return {
      documents: read.flatMap((part) => part.documents),
      refusals: read.flatMap((part) => part.refusals),
    };
  } catch (error) {
    // The YAML library: nested deeper than the stack.
    return whole(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
