/**
 * The lockfile serves every platform. npm leaves optional packages out of it that its registry did not have at that
 * moment, and `npm ci` then refuses the whole file on a clean checkout.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';

const root = resolve(import.meta.dirname, '../..');

interface LockedPackage {
  readonly version?: string;
  readonly link?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};

/** Where Node looks for `name` from the package at `from`, nearest first. */
function candidates(from: string, name: string): string[] {
  const parts = from === '' ? [] : from.split('/node_modules/');
  return [...parts, ''].map((_, up) => {
    const base = parts.slice(0, parts.length - up).join('/node_modules/');
    return `${base === '' ? '' : `${base}/`}node_modules/${name}`;
  });
}

describe('package-lock.json', () => {
  it('has an entry for every optional package of every package', () => {
    const wanted = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).map((name) => ({ path, name })),
    );
    assert.ok(wanted.length > 50, 'it looked at something');
    const missing = wanted.filter(
      ({ path, name }) => !candidates(path, name).some((at) => lock.packages[at]?.version !== undefined),
    );
    assert.deepEqual(missing, []);
  });
  it('names no host to download from', () => {
    assert.doesNotMatch(readFileSync(join(root, 'package-lock.json'), 'utf8'), /"resolved": "https?:/);
  });
});
