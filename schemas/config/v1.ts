/**
 * Configuration, version 1: strict (unknown keys are faults), every field with unit and default. Loaded from YAML and
 * environment by services/platform/config; all faults come in one error; the result is deep-frozen and passed in.
 */
import { z } from 'zod';
import { TOOL_CLASSES, zName } from '../event/v1.ts';
import { zLabelMapping } from '../labels/v1.ts';
import { zException, zRuleId } from '../rule/v1.ts';
import { RULE_MODES } from '../alert/v1.ts';

export const STEPS = ['ingest', 'record', 'sign', 'detect', 'respond', 'query', 'verify'] as const;
export type Step = (typeof STEPS)[number];
export const ROLES = ['producer', 'analyst', 'responder', 'auditor', 'admin'] as const;
export type Role = (typeof ROLES)[number];

const zMs = z
  .number()
  .int()
  .min(0)
  .max(365 * 86_400_000);
const zBytes = z
  .number()
  .int()
  .min(1)
  .max(1024 ** 3);
/** A secret is never inline in a file that people share: it is a file to read, or inline where the operator insists. Masked when printed. */
export const zSecret = z.union([
  z.strictObject({ file: z.string().min(1) }),
  z.strictObject({ value: z.string().min(1) }),
]);

export const zApiKey = z.strictObject({
  id: zName,
  tenant: zName,
  role: z.enum(ROLES),
  token: zSecret,
  /** Refuse unknown event fields instead of flagging them. */
  strict: z.boolean().default(false),
});

export const zDestination = z.strictObject({
  name: zName,
  kind: z.literal('webhook'),
  url: z.url({ protocol: /^https?$/ }),
  /** Standard Webhooks secret, whsec_… */
  secret: zSecret,
  tenant: zName.default('default'),
  minLevel: z.enum(['informational', 'low', 'medium', 'high', 'critical']).default('informational'),
  /** Deliver to loopback and private addresses too. */
  allowPrivate: z.boolean().default(false),
  timeoutMs: zMs.default(15_000),
});

export const zClassMapping = z.strictObject({
  /** Exact server name, or absent for any. */
  server: zName.optional(),
  /** Exact tool name, or absent for any tool of the server. */
  tool: zName.optional(),
  class: z.enum(TOOL_CLASSES),
});

export const zConfig = z.strictObject({
  /** Name in the origins of all logs; never change it. */
  deployment: zName.default('local'),
  dataDir: z.string().min(1).default('~/.tripline'),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.number().int().min(0).max(65_535).default(8747),
      maxBodyBytes: zBytes.default(8 * 1024 * 1024),
      maxConnections: z.number().int().min(1).default(1024),
      rateLimitPerMinute: z.number().int().min(1).default(60_000),
    })
    .prefault({}),
  bus: z
    .discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('embedded'),
        partitions: z.number().int().min(1).max(256).default(4),
        maxQueuedBytes: zBytes.default(64 * 1024 * 1024),
      }),
      z.strictObject({
        kind: z.literal('kafka'),
        brokers: z.array(z.string().min(1)).min(1),
        partitions: z.number().int().min(1).max(4096).default(12),
        replicationFactor: z.number().int().min(1).default(3),
        maxQueuedBytes: zBytes.default(64 * 1024 * 1024),
        sessionTimeoutMs: zMs.default(10_000),
        ssl: z.boolean().default(false),
        sasl: z
          .strictObject({
            mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
            username: z.string(),
            password: zSecret,
          })
          .optional(),
        /** Prefix of topic names and groups, for deployments that share a cluster and for tests. */
        namePrefix: z.string().max(64).default(''),
      }),
    ])
    .prefault({ kind: 'embedded' }),
  store: z
    .discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('chdb'),
        maxMemoryBytes: z
          .number()
          .int()
          .min(256 * 1024 * 1024)
          .default(2 * 1024 * 1024 * 1024),
        queryTimeoutMs: zMs.default(30_000),
      }),
      z.strictObject({
        kind: z.literal('clickhouse'),
        url: z.url({ protocol: /^https?$/ }),
        username: z.string().default('default'),
        password: zSecret.optional(),
        database: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/)
          .default('tripline'),
        queryTimeoutMs: zMs.default(30_000),
      }),
    ])
    .prefault({ kind: 'chdb' }),
  auth: z
    .strictObject({
      keys: z.array(zApiKey).default([]),
      /** Write admin.token and producer.token for tenant `default` into the data directory at first start. */
      localTokens: z.boolean().default(true),
    })
    .prefault({}),
  classify: z
    .strictObject({
      mappings: z.array(zClassMapping).default([]),
      /** Host names (exact, or .suffix) that are inside: no `dest.host` for them. */
      internalHosts: z.array(z.string().min(1)).default(['localhost', '127.0.0.1', '::1']),
      /** Which servers, tools and hosts are trusted, and whose data is public, internal or secret. */
      labels: zLabelMapping.prefault({}),
    })
    .prefault({}),
  rules: z
    .strictObject({
      /** Load the rules that ship with Tripline. */
      builtin: z.boolean().default(true),
      directories: z.array(z.string()).default([]),
      /** Overrides by rule id. */
      modes: z.record(z.string(), z.enum(RULE_MODES)).default({}),
      /** $name lists used in rules. */
      lists: z.record(z.string(), z.array(z.string())).default({}),
      /** Calls known to be harmless, by rule: their alerts are told in mode shadow until the exception expires. */
      exceptions: z.array(zException.extend({ rule: zRuleId })).default([]),
    })
    .prefault({}),
  otlp: z
    .strictObject({
      /** Take spans and logs of other instrumentations at /v1/traces and /v1/logs. */
      enabled: z.boolean().default(true),
      /** Listen at the port of OTLP/HTTP beside http.port; a port that is taken is told and left alone. */
      listen: z.boolean().default(true),
      host: z.string().default('127.0.0.1'),
      /** Absent: 4318, or any free one where http.port is 0. */
      port: z.number().int().min(0).max(65_535).optional(),
      /** Spans or log records of one request. */
      maxItems: z.number().int().min(1).max(100_000).default(20_000),
      /** How long a call waits for the spans above it, which may name its agent or conversation. */
      assemblyWaitMs: zMs.max(60_000).default(2_000),
      /** Calls that wait at the same time; beyond it the oldest are recorded with what is known. */
      maxWaitingCalls: z.number().int().min(1).max(100_000).default(10_000),
    })
    .prefault({}),
  record: z
    .strictObject({
      maxBatchEvents: z.number().int().min(1).default(8192),
      maxBatchBytes: zBytes.default(8 * 1024 * 1024),
      /** A partition writes batches of few records at most this often; the first is written at once. */
      maxBatchWaitMs: zMs.default(200),
    })
    .prefault({}),
  producers: z
    .strictObject({
      /** What becomes of events that no host signed: they are marked in any case; `alert` also tells of each stream once. */
      unsigned: z.enum(['mark', 'alert']).default('mark'),
    })
    .prefault({}),
  detect: z
    .strictObject({
      snapshotEveryEvents: z.number().int().min(1).default(20_000),
      snapshotEveryMs: zMs.default(5_000),
      lateWaitMs: zMs.default(5_000),
      maxStates: z.number().int().min(1).default(1_000_000),
      maxStatesPerTenant: z.number().int().min(1).default(500_000),
    })
    .prefault({}),
  respond: z
    .strictObject({
      destinations: z.array(zDestination).default([]),
      /** Publish kill controls that rules in mode enforce ask for. */
      allowRuleKills: z.boolean().default(true),
      /** Where step respond answers; a process that serves hosts or analysts without it passes kills and lifts on. */
      url: z.url({ protocol: /^https?$/ }).optional(),
    })
    .prefault({}),
  signer: z
    .strictObject({
      /** `local` = in this process; else the URL of the process that runs step sign. */
      url: z.union([z.literal('local'), z.url({ protocol: /^https?$/ })]).default('local'),
      token: zSecret.optional(),
    })
    .prefault({}),
  retention: z
    .strictObject({
      /** Days after which what a principal said in a session is erased, counted from its newest event there. Absent: kept. */
      payloadDays: z.number().positive().max(36_500).optional(),
      /** How often the process of step sign looks for what is due. */
      checkEveryMs: zMs.min(1000).default(3_600_000),
    })
    .prefault({}),
  rootLog: z
    .strictObject({
      /** An epoch at most this often, and only when something was signed since the last one. */
      epochMs: zMs.min(100).default(1000),
      /** How often witnesses are asked, and the copy is brought up to date. */
      cosignEveryMs: zMs.min(1000).default(10_000),
      /** A C2SP tlog-policy file: its witnesses with an URL are asked to cosign, its quorum says when that counts. */
      policyFile: z.string().min(1).optional(),
      witnessTimeoutMs: zMs.min(100).default(5000),
      /** A second folder for tiles and checkpoints, in which nothing is ever written twice. */
      copyDir: z.string().min(1).optional(),
      /**
       * A bucket of an S3-compatible service for the same copy. The key needs s3:PutObject and s3:GetObject on the prefix (with
       * `retention` also s3:PutObjectRetention), and must not have any right to delete.
       */
      copyS3: z
        .strictObject({
          endpoint: z.url({ protocol: /^https?$/ }),
          region: z.string().min(1).max(64).default('us-east-1'),
          bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/),
          prefix: z
            .string()
            .regex(/^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*$/)
            .max(256)
            .default(''),
          accessKeyId: z.string().min(1).max(128),
          secretAccessKey: zSecret,
          /** S3 Object Lock of each object; absent: what the bucket does by default. */
          retention: z
            .strictObject({
              mode: z.enum(['GOVERNANCE', 'COMPLIANCE']),
              days: z.int().min(1).max(36_500),
            })
            .optional(),
          timeoutMs: zMs.min(100).default(10_000),
        })
        .optional(),
      /** An RFC 3161 time stamp authority, which is shown the hash of a checkpoint so often. Absent: none is asked. */
      timestamp: z
        .strictObject({
          url: z.url({ protocol: /^https?$/ }),
          everyMs: zMs.min(1000).default(600_000),
          timeoutMs: zMs.min(100).default(10_000),
        })
        .optional(),
      /** Serve the root log without a token. It shows log ids, sizes, roots and offsets, and no event. */
      public: z.boolean().default(false),
    })
    .prefault({}),
  verify: z
    .strictObject({
      /** How often what was signed since is read again. */
      everyMs: zMs.min(100).default(5_000),
      /** The first reading of everything after a start, and how long after its end the next one begins. */
      firstSweepAfterMs: zMs.default(60_000),
      sweepEveryMs: zMs.min(1_000).default(3_600_000),
      /** Of each: it shares the machine with recording. */
      maxEntriesPerSecond: z.number().int().min(1).default(2_000),
    })
    .prefault({}),
  log: z
    .strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info') })
    .prefault({}),
});
export type Config = z.infer<typeof zConfig>;
export type ApiKeyConfig = z.infer<typeof zApiKey>;
export type DestinationConfig = z.infer<typeof zDestination>;
export type ClassMapping = z.infer<typeof zClassMapping>;
