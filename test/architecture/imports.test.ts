import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const STEPS = ['ingest', 'record', 'sign', 'detect', 'respond', 'query', 'verify', 'witness', 'capture'];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

function sources(dir: string): string[] {
  return readdirSync(join(ROOT, dir), { withFileTypes: true }).flatMap((entry) => {
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : sources(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = [
    ...text.matchAll(
      /^\s*(?:import|export)\s+(type\s)?[^;'"]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm,
    ),
  ];
  return found.map((match) => {
    const target = match[2] ?? match[3] ?? match[4] ?? '';
    const to = target.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), target)) : target;
    return { from: file, to, typeOnly: match[1] !== undefined };
  });
}

const FILES = ['services', 'schemas', 'detectors'].flatMap(sources);
const IMPORTS = FILES.flatMap(importsOf);

function offenders(rule: (one: Import) => boolean): string[] {
  return IMPORTS.filter(rule).map((one) => `${one.from} -> ${one.to}`);
}

const under = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);
const stepOf = (path: string): string | undefined => STEPS.find((step) => under(path, `services/${step}`));

test('the check looked at real imports', () => {
  assert.ok(FILES.length > 40, `${FILES.length} files`);
  assert.ok(IMPORTS.filter((one) => one.to.startsWith('services/')).length > 40);
  assert.ok(IMPORTS.some((one) => under(one.from, 'services/record') && under(one.to, 'services/evidence')));
});

test('schemas import nothing of ours and no adapter', () => {
  const allowed = new Set(['schemas/generate.ts']);
  assert.deepEqual(
    offenders(
      (one) =>
        under(one.from, 'schemas') && !allowed.has(one.from) && !under(one.to, 'schemas') && one.to !== 'zod',
    ),
    [],
  );
});

test('the pure libraries import schemas and each other only, and no node module', () => {
  const pure = (path: string): boolean => under(path, 'detectors') || under(path, 'services/evidence');
  const allowed = (to: string): boolean =>
    pure(to) ||
    under(to, 'schemas') ||
    ['zod', 'yaml', 'simple-statistics', 'lru-cache', 're2js', 'ipaddr.js'].includes(to);
  assert.deepEqual(
    offenders((one) => pure(one.from) && !allowed(one.to)),
    [],
  );
});

test('platform imports schemas, the pure libraries and itself', () => {
  const allowed = (to: string): boolean =>
    !under(to, 'services') || under(to, 'services/platform') || under(to, 'services/evidence');
  assert.deepEqual(
    offenders((one) => under(one.from, 'services/platform') && !allowed(one.to)),
    [],
  );
});

test('a step never imports another step', () => {
  assert.deepEqual(
    offenders((one) => {
      const from = stepOf(one.from);
      const to = stepOf(one.to);
      // The Signer port belongs to its consumer, record; sign implements it.
      const portOfRecord = from === 'sign' && one.to === 'services/record/ports.ts' && one.typeOnly;
      return from !== undefined && to !== undefined && from !== to && !portOfRecord;
    }),
    [],
  );
});

test('only the command line imports steps from outside, and nothing imports test', () => {
  assert.deepEqual(
    offenders(
      (one) =>
        stepOf(one.to) !== undefined && stepOf(one.from) === undefined && !under(one.from, 'services/cli'),
    ),
    [],
  );
  assert.deepEqual(
    offenders((one) => under(one.to, 'test')),
    [],
  );
});

test('pure code reads no clock, no randomness and no environment', () => {
  const isPure = (file: string): boolean =>
    (under(file, 'detectors') ||
      under(file, 'services/evidence') ||
      under(file, 'schemas') ||
      file.endsWith('/step.ts')) &&
    file !== 'schemas/generate.ts' &&
    file !== 'services/platform/step.ts';
  const pure = FILES.filter(isPure);
  assert.ok(pure.length > 15);
  const impure = /Date\.now\(|new Date\(\)|Math\.random\(|process\.|from 'node:/;
  assert.deepEqual(
    pure.filter((file) => impure.test(withoutComments(readFileSync(join(ROOT, file), 'utf8')))),
    [],
  );
});

test('only entry points read the environment of the process', () => {
  const allowed =
    /(^|\/)main\.ts$|^services\/platform\/config\/|^services\/platform\/store\/chdb\/(child|engine-process)|^schemas\/generate\.ts$|^services\/capture\/telemetry\.ts$|^services\/cli\/demo\//;
  const readers = FILES.filter((file) =>
    /process\.env/.test(withoutComments(readFileSync(join(ROOT, file), 'utf8'))),
  );
  assert.deepEqual(
    readers.filter((file) => !allowed.test(file)),
    [],
  );
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/[^\n]*/g, '$1');
}
