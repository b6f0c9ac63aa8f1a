/**
 * Credentials that name their vendor: a prefix, then characters of one alphabet. Each pattern is sticky, bounded, and
 * without two ways to read the same text, so that a look costs at most its own length. Sources: the vendors' pages on
 * token formats; RFC 7468 (PEM), RFC 7519 (JWT).
 */
import type { SecretKind } from '../../schemas/labels/v1.ts';

export interface KeyFormat {
  readonly kind: SecretKind;
  /** What a token begins with; the first character leads here. */
  readonly prefix: string;
  readonly pattern: RegExp;
  /** Needs lower case, upper case and a digit: the prefix alone says little. */
  readonly mixed?: true;
}

const format = (kind: SecretKind, prefix: string, rest: string, mixed?: true): KeyFormat => ({
  kind,
  prefix,
  pattern: new RegExp(prefix.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&') + rest, 'y'),
  ...(mixed === undefined ? {} : { mixed }),
});
const END = '(?![A-Za-z0-9])';

const FORMATS: readonly KeyFormat[] = [
  // AWS IAM: unique identifiers; access keys of users, temporary ones (STS), bearer tokens, context-specific ones.
  ...['AKIA', 'ASIA', 'ABIA', 'ACCA'].map((prefix) =>
    format('aws_access_key_id', prefix, `[A-Z2-7]{16}${END}`),
  ),
  ...['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'].map((prefix) =>
    format('github_token', prefix, `[A-Za-z0-9]{36,251}${END}`),
  ),
  format('github_token', 'github_pat_', `[A-Za-z0-9]{22}_[A-Za-z0-9]{59}${END}`),
  ...['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glcbt-', 'glsoat-', 'glft-', 'glimt-', 'glagent-'].map(
    (prefix) => format('gitlab_token', prefix, '[\\w-]{20,300}'),
  ),
  ...['xoxb-', 'xoxp-', 'xoxa-', 'xoxr-', 'xoxs-', 'xoxo-'].map((prefix) =>
    format('slack_token', prefix, '\\d{8,14}-[A-Za-z0-9-]{10,200}'),
  ),
  format('slack_token', 'xapp-', '\\d-[A-Z0-9]{8,14}-\\d{8,15}-[a-f0-9]{32,128}'),
  format('slack_token', 'xoxe-', '\\d-[A-Za-z0-9]{80,300}'),
  ...['sk_live_', 'sk_test_', 'rk_live_', 'rk_test_'].map((prefix) =>
    format('stripe_key', prefix, `[A-Za-z0-9]{16,247}${END}`),
  ),
  format('stripe_key', 'whsec_', '[A-Za-z0-9+/]{32,88}={0,2}'),
  format('google_api_key', 'AIza', `[\\w-]{35}${END}`),
  format('google_oauth_secret', 'GOCSPX-', `[\\w-]{28}${END}`),
  format('anthropic_key', 'sk-ant-', '[a-z]{3,12}\\d{2}-[\\w-]{80,120}'),
  ...['sk-proj-', 'sk-svcacct-', 'sk-admin-'].map((prefix) =>
    format('openai_key', prefix, '[\\w-]{40,200}', true),
  ),
  format('openai_key', 'sk-', `[A-Za-z0-9]{32,64}${END}`, true),
  format('huggingface_token', 'hf_', `[A-Za-z]{34}${END}`),
  format('npm_token', 'npm_', `[A-Za-z0-9]{36}${END}`),
  // A macaroon that begins with its location, pypi.org or test.pypi.org.
  format('pypi_token', 'pypi-AgE', '[\\w-]{50,1000}'),
  format('sendgrid_key', 'SG.', `[\\w-]{22}\\.[\\w-]{43}${END}`),
  ...['dop_v1_', 'doo_v1_', 'dor_v1_'].map((prefix) =>
    format('digitalocean_token', prefix, `[a-f0-9]{64}${END}`),
  ),
  ...['shpat_', 'shpca_', 'shppa_', 'shpss_'].map((prefix) =>
    format('shopify_token', prefix, `[a-fA-F0-9]{32}${END}`),
  ),
  format('databricks_token', 'dapi', `[a-f0-9]{32}${END}`),
  format('docker_token', 'dckr_pat_', `[\\w-]{27,64}`),
  ...['hvs.', 'hvb.', 'hvr.'].map((prefix) => format('vault_token', prefix, '[\\w-]{24,300}')),
  format('atlassian_token', 'ATATT3', '[\\w-]{50,250}={0,2}'),
  format('grafana_token', 'glsa_', `[A-Za-z0-9]{32}_[a-fA-F0-9]{8}${END}`),
  format('grafana_token', 'glc_', '[A-Za-z0-9+/]{32,400}={0,2}'),
  format('linear_key', 'lin_api_', `[A-Za-z0-9]{40}${END}`),
  format('notion_token', 'ntn_', `[A-Za-z0-9]{40,60}${END}`),
  format('age_secret_key', 'AGE-SECRET-KEY-1', `[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}${END}`),
  format('jwt', 'eyJ', '[\\w-]{8,4096}\\.eyJ[\\w-]{8,8192}\\.[\\w-]{16,2048}'),
  // RFC 7468 labels, OpenSSH's and OpenPGP's; the label alone is in every manual, so some of the body must follow.
  format(
    'private_key',
    '-----BEGIN',
    ' (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:(?:\\s|\\\\[nr]){0,4}[A-Za-z-]{3,16}: [^\\n\\\\]{0,200}){0,4}(?:\\s|\\\\[nr]){0,4}[A-Za-z0-9+/]{32}',
  ),
];

/** By the first character of a run. */
const BY_FIRST: readonly (readonly KeyFormat[] | undefined)[] = Array.from({ length: 128 }, (_, code) => {
  const list = FORMATS.filter(({ prefix }) => prefix.charCodeAt(0) === code);
  return list.length === 0 ? undefined : list;
});

export interface FoundKey {
  readonly kind: SecretKind;
  readonly end: number;
}

/** Whether a credential's prefix stands at `at`. */
export function beginsLikeKey(text: string, at: number): boolean {
  const formats = BY_FIRST[text.charCodeAt(at)];
  return formats?.some(({ prefix }) => text.startsWith(prefix, at)) === true;
}

const isMixed = (text: string): boolean => /[a-z]/.test(text) && /[A-Z]/.test(text) && /\d/.test(text);

/** The credential that begins at `at`, where a run of word characters begins; undefined when none does. */
export function vendorKeyAt(text: string, at: number): FoundKey | undefined {
  const formats = BY_FIRST[text.charCodeAt(at)];
  if (formats === undefined) return undefined;
  for (const { kind, prefix, pattern, mixed } of formats) {
    if (!text.startsWith(prefix, at)) continue;
    pattern.lastIndex = at;
    if (!pattern.test(text)) continue;
    const end = pattern.lastIndex;
    if (mixed === undefined || isMixed(text.slice(at, end))) return { kind, end };
  }
  return undefined;
}

/** Bot API: `<bot id>:<35 characters>`. */
const TELEGRAM = /\d{6,10}:A[\w-]{33,34}(?![\w-])/y;
const SLACK_WEBHOOK =
  /hooks\.slack\.com\/(?:services|workflows|triggers)\/[TE]\w{7,14}\/[AB\d]\w{6,20}\/\w{16,64}/y;

/** Formats whose first run is short. */
export function shortRunKeyAt(text: string, at: number): FoundKey | undefined {
  TELEGRAM.lastIndex = at;
  if (TELEGRAM.test(text)) return { kind: 'telegram_bot_token', end: TELEGRAM.lastIndex };
  SLACK_WEBHOOK.lastIndex = at;
  return SLACK_WEBHOOK.test(text) ? { kind: 'slack_webhook', end: SLACK_WEBHOOK.lastIndex } : undefined;
}
