/**
 * A host's policy, version 1: what agents may call, what is hidden from them, and what takes a person's yes. One file, strict
 * (unknown keys are faults). Whatever no line of `allow` covers is refused. Written by an operator; the names that it is held
 * against come from models and servers.
 */
import { z } from 'zod';
import { POLICY_MODES, TOOL_CLASSES, zName } from '../event/v1.ts';

/** A name, or a pattern: `*` stands for any characters, everything else for itself. */
const zPatterns = z.array(zName).min(1).max(256);
const zLineId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'must be 1-64 characters of a-z, 0-9, dot, dash and underscore');
const zMs = (min: number, max: number) => z.number().int().min(min).max(max);

/** What a line covers: calls for which every list that it names holds a match. */
const SELECTOR = {
  agents: zPatterns.optional(),
  /** TRIPLINE_ENVIRONMENT of the host; one that has none is covered by no line that names environments. */
  environments: zPatterns.optional(),
  /** TRIPLINE_TASK of the host, likewise. */
  tasks: zPatterns.optional(),
  servers: zPatterns.optional(),
  /** Tools; reads (resources/read, prompts/get, …) have their method as name. */
  tools: zPatterns.optional(),
  classes: z.array(z.enum(TOOL_CLASSES)).min(1).optional(),
} as const;

const LINE = { id: zLineId, ...SELECTOR } as const;
/** Told in the refusal, so that whoever asked for the call knows why. */
const zReason = z.string().min(1).max(512);

export const zAllowLine = z.strictObject(LINE);
export const zDenyLine = z.strictObject({
  ...LINE,
  /** Only calls of which a value has one of these labels. */
  labels: z.array(z.string().min(1).max(64)).min(1).max(64).optional(),
  reason: zReason.optional(),
});
export const zHideLine = z.strictObject(LINE);
export const zApprovalLine = z.strictObject({
  ...LINE,
  /** Whoever the agent acts for (TRIPLINE_PRINCIPAL, the gate's client) cannot be who grants. */
  fourEyes: z.boolean().default(false),
  /** How long a call waits for its answer; 0: it is refused at once, and may be repeated once it is granted. */
  waitMs: zMs(0, 600_000).default(0),
  /** How long the request may be answered. */
  requestTtlMs: zMs(1_000, 7 * 86_400_000).default(3_600_000),
});
export type ApprovalLine = z.infer<typeof zApprovalLine>;

const LISTS = ['allow', 'deny', 'hide', 'approvals'] as const;
export type PolicyList = (typeof LISTS)[number];

export const zPolicy = z
  .strictObject({
    v: z.literal(1),
    /** Name of the policy on record. */
    id: zName,
    /** Counted up by whoever changes it; on record beside the hash of the file. */
    version: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
    mode: z.enum(POLICY_MODES),
    description: z.string().max(4096).optional(),
    allow: z.array(zAllowLine).max(1024),
    deny: z.array(zDenyLine).max(1024).default([]),
    hide: z.array(zHideLine).max(1024).default([]),
    /** Tools that no line of `allow` covers are left out of tools/list too. */
    hideUnallowed: z.boolean().default(false),
    approvals: z.array(zApprovalLine).max(1024).default([]),
  })
  .superRefine((policy, context) => {
    const seen = new Set<string>();
    for (const list of LISTS)
      for (const [index, { id }] of policy[list].entries()) {
        if (seen.has(id))
          context.addIssue({
            code: 'custom',
            path: [list, index, 'id'],
            message: `${id} is taken by another line`,
          });
        seen.add(id);
      }
  });
export type Policy = z.infer<typeof zPolicy>;
export type PolicyLine = z.infer<typeof zAllowLine>;
