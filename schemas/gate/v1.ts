/**
 * Configuration of the HTTP gate, version 1: strict (unknown keys are faults), every field with unit and default. A file
 * of its own: a gate runs on machines of hosts, where there is no service to configure.
 */
import { z } from 'zod';
import { zSecret } from '../config/v1.ts';
import { zName } from '../event/v1.ts';
import { zBoundary } from '../labels/v1.ts';

/** A file to read, a variable of the environment, or inline where the operator insists. Masked when printed. */
export const zGateSecret = z.union([zSecret, z.strictObject({ env: z.string().regex(/^[A-Za-z_]\w*$/) })]);

/** RFC 9110 field-name. */
const zHeaderName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'must be a name of an HTTP header');
const zHeaderText = z.string().regex(/^[\x20-\x7e]{1,4096}$/, 'must be visible ASCII characters');
const zFile = z.string().min(1);
const zMs = z
  .number()
  .int()
  .min(0)
  .max(365 * 86_400_000);

/** Where the session of a call comes from; the first source that has an answer is taken (services/README.md, decisions). */
export const GATE_SESSION_SOURCES = [
  'process',
  'conversation',
  'mcp_session',
  'client',
  'connection',
] as const;
export type GateSessionSource = (typeof GATE_SESSION_SOURCES)[number];

export const zGateClient = z.strictObject({
  /** Names the client in events (principal) where no certificate does. */
  id: zName,
  token: zGateSecret,
  /** Name of the agent behind this token; goes before the upstream's. */
  agent: zName.optional(),
});

export const zGateUpstream = z.strictObject({
  /** Name of the server in events, rules and controls. */
  name: zName,
  /** Path at the gate, without a query; default `/` and the name. */
  path: z
    .string()
    .regex(/^\/[\w\-.~%/]*$/, 'must begin with / and hold no query')
    .optional(),
  /** The MCP endpoint. Only this URL is ever asked; redirects are not followed. */
  url: z.url({ protocol: /^https?$/ }),
  agent: zName.optional(),
  /** Set on every request; they replace what the client sent under that name. */
  headers: z
    .record(
      zHeaderName,
      z.union([zHeaderText, z.strictObject({ prefix: zHeaderText.optional(), secret: zGateSecret })]),
    )
    .default({}),
  tls: z
    .strictObject({
      /** PEM files: authorities that are trusted instead of the system's, and the client certificate (mTLS). */
      ca: zFile.optional(),
      cert: zFile.optional(),
      key: zFile.optional(),
    })
    .prefault({}),
  /** Origins of web pages that may call; a request without an Origin header is no page's. */
  allowedOrigins: z.array(z.url({ protocol: /^https?$/ })).default([]),
  /** Headers that contradict the body (MCP 2026-07-28): a label on the intent, or also an answer -32020. */
  headerMismatch: z.enum(['record', 'refuse']).default('record'),
  /** `resource` of the protected resource metadata (RFC 9728): the gate's URL, or the upstream's as it is. */
  oauthMetadata: z.enum(['rewrite', 'pass']).default('rewrite'),
});

export const zGateConfig = z.strictObject({
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: z.number().int().min(0).max(65_535).default(8750),
      /** Needed, beside clients or client certificates, to listen elsewhere than on loopback. */
      allowNonLoopback: z.boolean().default(false),
      /** Names in the Host header beside loopback's and `host`. */
      allowedHosts: z.array(z.string().min(1)).default([]),
      /** How clients reach the gate, where that is not the Host header (a proxy in front). */
      publicUrl: z.url({ protocol: /^https?$/ }).optional(),
      maxConnections: z.number().int().min(1).default(1024),
      /** Bytes of request bodies that are held at once, over all connections; a body that finds no room is answered 503. */
      maxHeldBytes: z
        .number()
        .int()
        .min(1024 * 1024)
        .max(64 * 1024 * 1024 * 1024)
        .default(256 * 1024 * 1024),
      tls: z
        .strictObject({
          cert: zFile,
          key: zFile,
          /** Authorities of client certificates. With it a client needs one; its subject is the principal. */
          clientCa: zFile.optional(),
        })
        .optional(),
    })
    .prefault({}),
  /** With clients a request needs one's token in `Tripline-Gate-Token`; `Authorization` belongs to the upstream. */
  clients: z.array(zGateClient).default([]),
  sessions: z
    .strictObject({
      sources: z.array(z.enum(GATE_SESSION_SOURCES)).min(1).default(['process', 'conversation', 'client']),
    })
    .prefault({}),
  streams: z
    .strictObject({
      /** Streams open at once; then the longest idle one is ended, and where all are busy a request is refused. */
      max: z.number().int().min(1).max(65_536).default(1024),
      idleMs: zMs.default(900_000),
      /** How long a call may wait for its client to resume a broken stream before it counts as abandoned. */
      resumeGraceMs: zMs.default(60_000),
    })
    .prefault({}),
  /** Trust and data labels, in the place of `TRIPLINE_LABELS`. */
  labels: zBoundary.optional(),
  upstreams: z.array(zGateUpstream).min(1),
});
export type GateConfig = z.infer<typeof zGateConfig>;
export type GateUpstreamConfig = z.infer<typeof zGateUpstream>;
export type GateSecret = z.infer<typeof zGateSecret>;
