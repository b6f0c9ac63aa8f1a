import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { ERRORS } from '../../schemas/errors.ts';

const ROOT = resolve(import.meta.dirname, '../..');

function sources(dir: string): string[] {
  return readdirSync(join(ROOT, dir), { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sources(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

test('every error code of the table is used somewhere in the code', () => {
  const text = ['services', 'detectors', 'schemas']
    .flatMap(sources)
    .filter((file) => file !== 'schemas/errors.ts')
    .map((file) => readFileSync(join(ROOT, file), 'utf8'))
    .join('\n');
  assert.deepEqual(
    Object.keys(ERRORS).filter((code) => !text.includes(`'${code}'`)),
    [],
  );
});

test('every code has a meaning and tells the operator what to do', () => {
  for (const [code, entry] of Object.entries(ERRORS)) {
    assert.match(code, /^[a-z]+(_[a-z]+)*$/);
    assert.ok(entry.meaning.endsWith('.') && entry.operator.endsWith('.'), code);
  }
});
