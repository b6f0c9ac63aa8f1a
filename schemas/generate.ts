/**
 * Writes the JSON Schemas of schemas/generated from the zod contracts, the error table and the catalogue of rules as
 * Markdown. With --check it writes nothing and fails where a file differs. A development script: nothing imports it.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { catalogueOf } from '../detectors/rules/catalogue.ts';
import { zDispositionRequest } from './alert/disposition.ts';
import { zAlertLine } from './alert/v1.ts';
import { zAuditLine } from './audit/v1.ts';
import { zCheckpoint } from './checkpoint/v1.ts';
import { zConfig } from './config/v1.ts';
import { zControl, zControlRequest, zControlStreamMessage, zRefusal, zSignedControl } from './control/v1.ts';
import { zDeadLetterLine } from './deadletter/v1.ts';
import { ERRORS } from './errors.ts';
import { zEvent } from './event/v1.ts';
import { zGateConfig } from './gate/v1.ts';
import { zBoundary } from './labels/v1.ts';
import { zRule } from './rule/v1.ts';
import { zPolicy } from './policy/v1.ts';
import { zRedaction } from './redaction/v1.ts';
import { zApprovalDecision, zDenyRequest, zGrantRequest } from './approval/v1.ts';
import { zWitnessConfig } from './witness/v1.ts';

const root = join(import.meta.dirname, '..');

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  'event.v1': zEvent,
  'disposition-request.v1': zDispositionRequest,
  'alert.v1': zAlertLine,
  'audit.v1': zAuditLine,
  'dead-letter.v1': zDeadLetterLine,
  'control.v1': zControl,
  'signed-control.v1': zSignedControl,
  'control-request.v1': zControlRequest,
  'control-stream-message.v1': zControlStreamMessage,
  'refusal.v1': zRefusal,
  'checkpoint.v1': zCheckpoint,
  'config.v1': zConfig,
  'gate.v1': zGateConfig,
  'boundary.v1': zBoundary,
  'rule.v1': zRule,
  'witness.v1': zWitnessConfig,
  'policy.v1': zPolicy,
  'redaction.v1': zRedaction,
  'approval.v1': zApprovalDecision,
  'grant-request.v1': zGrantRequest,
  'deny-request.v1': zDenyRequest,
};

function outputs(): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    const json = z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' });
    files.set(`schemas/generated/${name}.schema.json`, `${JSON.stringify(json, null, 2)}\n`);
  }
  files.set('schemas/generated/errors.md', errorTable());
  files.set('detectors/rules/CATALOGUE.md', catalogue());
  return files;
}

function catalogue(): string {
  const folder = join(root, 'detectors/rules');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('/rule.yaml'))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(folder, path), 'utf8') }));
  return catalogueOf(files, { sha256Hex: (text) => createHash('sha256').update(text).digest('hex') });
}

function errorTable(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, entry]) =>
      `| \`${code}\` | ${entry.status} | ${entry.retryable ? 'yes' : 'no'} | ${entry.meaning} | ${entry.operator} |`,
  );
  return `# Errors\n\nGenerated from schemas/errors.ts.\n\n| code | HTTP | retry | meaning | what to do |\n|---|---|---|---|---|\n${rows.join('\n')}\n`;
}

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [name, text] of outputs()) {
  const path = join(root, name);
  if (check && read(path) !== text) stale.push(name);
  if (check) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
for (const name of stale) process.stderr.write(`${name} is stale: npm run generate\n`);
process.exitCode = stale.length > 0 ? 1 : 0;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
