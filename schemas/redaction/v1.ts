/**
 * What a host keeps off the record, version 1: rules by place and by pattern, and what stands in the value's stead. One file
 * for tap, decorator and gate; strict. It holds no key: that is a file of its own (TRIPLINE_REDACTION_KEY).
 */
import { z } from 'zod';
import { zName } from '../event/v1.ts';
import { SECRET_KINDS } from '../labels/v1.ts';
import { parsePath } from './path.ts';
import { parsePattern } from './pattern.ts';

/** remove: `[-]`. mask: `[*` and its last characters `]`. digest: `[#` and a keyed digest, equal for equal values `]`. */
export const REDACTION_ACTIONS = ['remove', 'mask', 'digest'] as const;
export type RedactionAction = (typeof REDACTION_ACTIONS)[number];

/** A name, or a pattern: `*` stands for any characters, everything else for itself. */
const zPatterns = z.array(zName).min(1).max(256);
const MAX_LINES = 64;

/** A text that a parser of ours has to take; its fault is told as it stands. */
const parsed = (parse: (text: string) => { readonly kind: string; readonly message?: string }) =>
  z
    .string()
    .min(1)
    .max(256)
    .superRefine((text, context) => {
      const outcome = parse(text);
      if (outcome.kind === 'fault')
        context.addIssue({ code: 'custom', message: outcome.message ?? 'is not understood' });
    });

export const zRedactionRule = z
  .strictObject({
    /** On record with each place that it replaced. */
    id: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'must be 1-64 characters of a-z, 0-9, dot, dash and underscore'),
    servers: zPatterns.optional(),
    /** Tools; other messages have their method as name (resources/read, prompts/get, elicitation/create). */
    tools: zPatterns.optional(),
    /** What a request brings, what an answer brings. */
    of: z.enum(['args', 'result', 'both']).default('both'),
    /** Places in the body: a subset of JSONPath (RFC 9535): names, `[n]`, `[*]`, `..`. */
    paths: z.array(parsed(parsePath)).min(1).max(MAX_LINES).optional(),
    /** What the detectors of labels find. */
    secrets: z.union([z.literal('all'), z.array(z.enum(SECRET_KINDS)).min(1)]).optional(),
    /** Regular expressions of a subset that takes linear time: literals, classes, bounded repeats. */
    patterns: z.array(parsed(parsePattern)).min(1).max(MAX_LINES).optional(),
    ignoreCase: z.boolean().default(false),
    action: z.enum(REDACTION_ACTIONS),
    /** mask: so many characters stay, and never more than a quarter. */
    keepLast: z.number().int().min(0).max(4).optional(),
  })
  .superRefine((rule, context) => {
    if (rule.paths === undefined && rule.secrets === undefined && rule.patterns === undefined)
      context.addIssue({ code: 'custom', message: 'must have paths, secrets or patterns' });
    if (rule.keepLast !== undefined && rule.action !== 'mask')
      context.addIssue({ code: 'custom', path: ['keepLast'], message: 'is for action mask' });
  });
export type RedactionRule = z.infer<typeof zRedactionRule>;

export const zRedaction = z
  .strictObject({
    v: z.literal(1),
    /** Name of the file on record. */
    id: zName,
    version: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
    description: z.string().max(4096).optional(),
    /** What is replaced is looked for in all later bodies of the session too, also encoded. */
    follow: z.boolean().default(true),
    /** Where two rules meet, the earlier one decides. */
    rules: z.array(zRedactionRule).min(1).max(256),
  })
  .superRefine(({ rules }, context) => {
    const seen = new Set<string>();
    for (const [index, { id }] of rules.entries()) {
      if (seen.has(id))
        context.addIssue({ code: 'custom', path: ['rules', index, 'id'], message: `${id} is taken` });
      seen.add(id);
    }
  });
export type Redaction = z.infer<typeof zRedaction>;
