/** Labels and trust by mapping, class and detectors; expected values by hand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { effectiveLabels, effectiveTrust } from '../../../detectors/labels/effective.ts';
import { labelsOf } from '../../../detectors/labels/labels.ts';
import { trustOf } from '../../../detectors/labels/mapping.ts';
import { zBoundary, zLabelMapping, type LabelMapping } from '../../../schemas/labels/v1.ts';

const mapping = (value: unknown): LabelMapping => zLabelMapping.parse(value);
const NOTHING = mapping({});

describe('trust', () => {
  it('without a mapping: the web and searches are untrusted, all else is unknown', () => {
    assert.deepEqual(trustOf({ class: 'web_read' }, [], NOTHING), { level: 'untrusted', by: 'class' });
    assert.deepEqual(trustOf({ class: 'search' }, [], NOTHING), { level: 'untrusted', by: 'class' });
    assert.deepEqual(trustOf({ class: 'database', server: 'x' }, [], NOTHING), { level: 'unknown' });
    assert.deepEqual(trustOf({}, [], NOTHING), { level: 'unknown' });
  });
  it('host goes before tool, tool before server, server before class; among equals the worse', () => {
    const of = mapping({
      trust: [
        { class: 'web_read', level: 'trusted', by: 'a' },
        { server: 's', level: 'unknown', by: 'b' },
        { tool: 't', level: 'trusted', by: 'c' },
        { host: '.bad.example', level: 'untrusted', by: 'd' },
        { server: 'twice', level: 'trusted' },
        { server: 'twice', level: 'untrusted' },
      ],
    });
    const by = (subject: object, hosts: readonly string[] = []) => trustOf(subject, hosts, of).by;
    assert.equal(by({ class: 'web_read', server: 'z' }), 'a');
    assert.equal(by({ class: 'web_read', server: 's' }), 'b');
    assert.equal(by({ class: 'web_read', server: 's', tool: 't' }), 'c');
    assert.equal(by({ server: 's', tool: 't' }, ['ok.example', 'x.bad.example']), 'd');
    assert.deepEqual(trustOf({ server: 'twice' }, [], of), { level: 'untrusted', by: 'operator' });
  });
  it('a trusted host vouches for a call that names no other', () => {
    const of = mapping({ trust: [{ host: '.corp.example', level: 'trusted', by: 'it' }] });
    const trust = (...hosts: readonly string[]) => trustOf({ class: 'web_read' }, hosts, of).level;
    assert.equal(trust('wiki.corp.example'), 'trusted');
    assert.equal(trust('wiki.corp.example', 'evil.example'), 'untrusted');
    assert.equal(trust('corp.example.evil.example'), 'untrusted');
    assert.equal(trust(), 'untrusted');
    assert.equal(trust('wiki.corp.example', '(unseen)'), 'untrusted');
  });
});

describe('data labels', () => {
  const of = mapping({
    data: [
      { server: 'hr', label: 'secret' },
      { server: 'hr', tool: 'calendar', label: 'internal' },
      { class: 'web_read', label: 'internal', of: 'both' },
    ],
  });
  it('come from the mapping, else from the class of a result, and the gravest stands alone', () => {
    const labels = (body: string, about: object) => labelsOf(body, { of: 'result', mapping: of, ...about });
    assert.deepEqual(labels('{}', { server: 'hr', tool: 'x' }), ['secret']);
    assert.deepEqual(labels('{}', { server: 'hr', tool: 'calendar' }), ['internal']);
    assert.deepEqual(labels('{}', { class: 'web_read' }), ['internal']);
    assert.deepEqual(labels('{}', { class: 'search' }), ['public']);
    assert.deepEqual(labels('{}', { class: 'payment' }), []);
    assert.deepEqual(labels('{"k":"AKIAIOSFODNN7EXAMPLE"}', { class: 'search' }), ['secret']);
    assert.deepEqual(labelsOf('{}', { of: 'args', server: 'hr', mapping: of }), []);
    assert.deepEqual(labelsOf('{}', { of: 'args', class: 'web_read', mapping: of }), ['internal']);
    assert.deepEqual(labelsOf(undefined, { of: 'args', class: 'payment' }), []);
  });
});

describe('the effective labels of an event', () => {
  const result = { kind: 'call.result', server: 'web', tool: 'fetch', result: { t: 'x' } } as const;
  it('a claim makes a label graver, never lighter', () => {
    const labels = (event: object, toolClass = 'web_read') =>
      effectiveLabels({ event: { ...result, ...event }, toolClass }).labels;
    assert.deepEqual(labels({}), ['public']);
    assert.deepEqual(labels({ labels: ['late', 'secret'] }), ['late', 'secret']);
    assert.deepEqual(labels({ labels: ['public'] }, 'secret_read'), ['secret']);
    assert.deepEqual(labels({ labels: ['public'], result: { t: 'AKIAIOSFODNN7EXAMPLE' } }), [
      'secret:aws_access_key_id',
      'secret',
    ]);
  });
  it('a claim makes trust less, never more; words of others are read', () => {
    const level = (trust: unknown, toolClass: string, labelMapping = NOTHING) =>
      effectiveTrust({ event: { ...result, trust } as never, toolClass, labelMapping })?.level;
    assert.equal(level({ level: 'trusted', by: 'me' }, 'web_read'), 'untrusted');
    assert.equal(level({ level: 'trusted', by: 'me' }, 'database'), 'unknown');
    assert.equal(level('low', 'database'), 'untrusted');
    assert.equal(level('whatever', 'database'), 'unknown');
    const own = mapping({ trust: [{ server: 'web', level: 'trusted' }] });
    assert.equal(level(undefined, 'web_read', own), 'trusted');
    assert.equal(level({ level: 'untrusted' }, 'web_read', own), 'untrusted');
  });
  it('the kinds of secrets are those that were claimed and those that are found', () => {
    const event = {
      ...result,
      sensitive: [{ kind: 'card_number', at: '/x' }],
      result: { t: 'AKIAIOSFODNN7EXAMPLE' },
    };
    assert.deepEqual(effectiveLabels({ event, toolClass: 'other' }).secretKinds, [
      'card_number',
      'aws_access_key_id',
    ]);
  });
});

describe('configuration', () => {
  it('is strict, and tells all faults at once', () => {
    const parsed = zBoundary.safeParse({
      trust: [{ level: 'trusted' }, { server: 's', level: 'good' }],
      data: [{ server: 's', label: 'secret', of: 'everything' }],
      ignoreSecrets: ['passwords'],
      instructions: 'delete',
      colour: 1,
    });
    assert.deepEqual(parsed.error?.issues.map(({ path, code }) => `${path.join('.')} ${code}`).toSorted(), [
      ' unrecognized_keys',
      'data.0.of invalid_value',
      'ignoreSecrets.0 invalid_value',
      'instructions invalid_value',
      'trust.0 custom',
      'trust.1.level invalid_value',
    ]);
  });
});

describe('documentation', () => {
  it('the example of services/capture/README.md is a configuration', () => {
    const readme = readFileSync(new URL('../../../services/capture/README.md', import.meta.url), 'utf8');
    const blocks = [...readme.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) => json ?? '');
    const example = blocks.find((json) => json.includes('ignoreSecrets'));
    assert.ok(example !== undefined);
    assert.equal(zBoundary.parse(JSON.parse(example)).trust.length, 3);
  });
});
