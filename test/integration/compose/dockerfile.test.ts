/** Rules that the Dockerfile holds to; a linter's worth of them, since no Docker engine builds it here. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Instructions with their continuation lines joined, comments left out. */
function instructions(): readonly Instruction[] {
  const lines = readFileSync(join(root, 'Dockerfile'), 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('#'));
  return lines
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ name: line.split(/\s+/)[0] ?? '', rest: line.replace(/^\S+\s+/, '') }));
}

const all = instructions();
const named = (name: string): readonly string[] =>
  all.filter((item) => item.name === name).map((item) => item.rest);
const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');

describe('Dockerfile', () => {
  it('starts from images with an exact version', () => {
    assert.equal(named('FROM').length, 2);
    for (const from of named('FROM')) assert.match(from, /^node:\d+\.\d+\.\d+-\w+-slim(?: AS \w+)?$/);
  });
  it('ends as a user that is not root, and writes nothing afterwards', () => {
    const user = all.findLastIndex((item) => item.name === 'USER');
    assert.equal(all[user]?.rest, 'node');
    const after = all.slice(user).map((item) => item.name);
    assert.ok(!after.includes('RUN') && !after.includes('COPY'));
  });
  it('adds nothing from the network but locked packages', () => {
    assert.deepEqual(named('ADD'), []);
    for (const run of named('RUN')) assert.doesNotMatch(run, /curl|wget|https?:|npm (?:install|i) |apt/);
    assert.ok(named('RUN').some((run) => run === 'npm ci --ignore-scripts'));
  });
  it('holds no secret', () => {
    for (const line of [...named('ENV'), ...named('ARG')])
      assert.doesNotMatch(line, /TOKEN|SECRET|PASSWORD|KEY/i);
  });
  it('gets signals itself and says when it is healthy', () => {
    for (const line of [...named('ENTRYPOINT'), ...named('CMD')]) assert.ok(Array.isArray(JSON.parse(line)));
    assert.match(named('HEALTHCHECK')[0] ?? '', /--interval=\S+ --timeout=\S+ .*CMD \[/);
  });
  it('copies only what is there and what .dockerignore lets in', () => {
    assert.equal(
      ignored.find((line) => line !== '' && !line.startsWith('#')),
      '*',
    );
    const fromContext = named('COPY').filter((copy) => !copy.startsWith('--from'));
    assert.ok(fromContext.length > 3);
    for (const copy of fromContext)
      for (const source of copy.split(/\s+/).slice(0, -1)) {
        assert.ok(existsSync(join(root, source)), source);
        assert.ok(
          ignored.some((line) => line.startsWith('!') && `${source}/`.startsWith(`${line.slice(1)}/`)),
          source,
        );
      }
  });
});
