/**
 * Boundary metadata, version 1: what an operator says of servers, tools and hosts (who is trusted, which data is secret),
 * and what a host wants of it on the wire. One schema for tap, decorator, gate and service; strict.
 */
import { z } from 'zod';
import { TOOL_CLASSES, zName } from '../event/v1.ts';

/** From harmless to grave. */
export const DATA_LABELS = ['public', 'internal', 'secret'] as const;
export type DataLabel = (typeof DATA_LABELS)[number];

/** From good to bad. `unknown`: nobody vouches for it, so it is not trusted. */
export const TRUST_LEVELS = ['trusted', 'unknown', 'untrusted'] as const;
export type TrustLevel = (typeof TRUST_LEVELS)[number];

/** What the detectors tell apart. */
export const SECRET_KINDS = [
  'aws_access_key_id',
  'private_key',
  'jwt',
  'bearer_token',
  'url_password',
  'assigned_secret',
  'card_number',
  'github_token',
  'gitlab_token',
  'slack_token',
  'slack_webhook',
  'stripe_key',
  'google_api_key',
  'google_oauth_secret',
  'openai_key',
  'anthropic_key',
  'huggingface_token',
  'npm_token',
  'pypi_token',
  'sendgrid_key',
  'digitalocean_token',
  'shopify_token',
  'databricks_token',
  'docker_token',
  'vault_token',
  'atlassian_token',
  'telegram_bot_token',
  'grafana_token',
  'linear_key',
  'notion_token',
  'age_secret_key',
] as const;
export type SecretKind = (typeof SECRET_KINDS)[number];

const subject = {
  /** Exact server name; absent for any. */
  server: zName.optional(),
  /** Exact tool name; absent for any. */
  tool: zName.optional(),
  class: z.enum(TOOL_CLASSES).optional(),
};
const MAX_LINES = 1024;
const NO_SUBJECT = 'must name a server, a tool, a class or a host';
/** A host name, or `.suffix` for a name and all below it. */
const zHostPattern = z
  .string()
  .max(253)
  .regex(/^\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*$|^[0-9a-f:.]+$/, 'must be a lower-case host name, or .suffix');

export const zTrustLine = z
  .strictObject({
    ...subject,
    /** All hosts that the call's arguments name must match; with one that does not, the line is not for this call. */
    host: zHostPattern.optional(),
    level: z.enum(TRUST_LEVELS),
    /** Who vouches; `operator` when absent. */
    by: zName.optional(),
  })
  .refine(
    ({ server, tool, class: toolClass, host }) => (server ?? tool ?? toolClass ?? host) !== undefined,
    NO_SUBJECT,
  );

export const zDataLine = z
  .strictObject({
    ...subject,
    of: z.enum(['args', 'result', 'both']).default('result'),
    label: z.enum(DATA_LABELS),
  })
  .refine(({ server, tool, class: toolClass }) => (server ?? tool ?? toolClass) !== undefined, NO_SUBJECT);

/**
 * More specific lines go first: host, then tool, then server, then class; among equals the graver one. Without a line:
 * what comes from the web or a search is untrusted and public, the rest unknown; a secret store's is secret, that of
 * files, memory and databases internal. What the detectors find is secret whatever a line says.
 */
export const zLabelMapping = z.strictObject({
  trust: z.array(zTrustLine).max(MAX_LINES).default([]),
  data: z.array(zDataLine).max(MAX_LINES).default([]),
  /** Kinds of secrets that are not looked for. */
  ignoreSecrets: z.array(z.enum(SECRET_KINDS)).default([]),
});
export type LabelMapping = z.infer<typeof zLabelMapping>;
export type TrustLine = z.infer<typeof zTrustLine>;
export type DataLine = z.infer<typeof zDataLine>;

export const INSTRUCTION_MODES = ['off', 'mark', 'strip'] as const;
export type InstructionMode = (typeof INSTRUCTION_MODES)[number];

/** What a capture (tap, decorator, gate) is told: file `TRIPLINE_LABELS`, or `labels` in the gate's configuration. */
export const zBoundary = zLabelMapping.extend({
  /** Write labels into `_meta` of results, for hosts that read them. Changes bytes. */
  resultMeta: z.boolean().default(false),
  /** Instruction-like text in results that are not trusted: leave it, mark it, or take it out. Changes bytes. */
  instructions: z.enum(INSTRUCTION_MODES).default('off'),
});
export type BoundaryConfig = z.infer<typeof zBoundary>;
