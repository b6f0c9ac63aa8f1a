/** Tags are checked against the id lists that are shipped. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ATLAS_IDS } from '../../../detectors/tags/atlas.ts';
import { ATTACK_IDS } from '../../../detectors/tags/attack.ts';
import { checkTag } from '../../../detectors/tags/check.ts';
import { OWASP_IDS } from '../../../detectors/tags/owasp.ts';
import { SAF_IDS } from '../../../detectors/tags/saf.ts';

describe('id lists', () => {
  const isSub = (id: string): boolean => /\.\d{3}$/.test(id);
  it('of ATLAS have as many entries as the release says', () => {
    // Release notes of v2026.09: 120 techniques, 88 sub-techniques.
    assert.equal(ATLAS_IDS.filter((id) => !isSub(id)).length, 120);
    assert.equal(ATLAS_IDS.filter(isSub).length, 88);
    for (const id of ATLAS_IDS) assert.match(id, /^AML\.T\d{4}(\.\d{3})?$/);
  });
  it('of ATT&CK have as many entries as the release says', () => {
    // attack.mitre.org, version 18: 216 techniques and 475 sub-techniques of Enterprise.
    assert.equal(ATTACK_IDS.filter((id) => !isSub(id)).length, 216);
    assert.equal(ATTACK_IDS.filter(isSub).length, 475);
    for (const id of ATTACK_IDS) assert.match(id, /^T\d{4}(\.\d{3})?$/);
  });
  it('of SAF-MCP have the 78 active techniques of its coverage matrix', () => {
    assert.equal(SAF_IDS.length, 78);
    for (const id of SAF_IDS) assert.match(id, /^T\d{4}$/);
  });
  it('have every id once, sub-techniques behind their technique', () => {
    for (const ids of [ATLAS_IDS, ATTACK_IDS, OWASP_IDS, SAF_IDS]) {
      const all = new Set(ids);
      assert.equal(all.size, ids.length);
      for (const id of ids.filter(isSub)) assert.ok(all.has(id.replace(/\.\d{3}$/, '')), id);
    }
  });
});

describe('checkTag', () => {
  it('takes ids of the taxonomies and free words', () => {
    const tags = [
      'atlas.AML.T0086',
      'atlas.AML.T0051.001',
      'attack.T1567',
      'attack.T1567.002',
      'owasp.ASI02',
      'owasp.LLM01',
      'owasp.MCP10',
      'saf.T1914',
      'exfiltration',
      'pack-2',
    ];
    for (const tag of tags) assert.equal(checkTag(tag), undefined, tag);
  });
  it('refuses an id that no taxonomy has, and names the nearest', () => {
    assert.deepEqual(checkTag('attack.T1567.009'), {
      message: 'attack has no id T1567.009',
      hint: 'the nearest one is attack.T1567.001',
    });
    assert.match(checkTag('owasp.LLM011')?.hint ?? '', /owasp\.LLM01$/);
    assert.match(checkTag('atlas.T0086')?.hint ?? '', /atlas\.AML\.T0086$/);
    assert.match(checkTag('saf.SAF-T1914')?.hint ?? '', /saf\.T1914$/);
    assert.match(checkTag('attack.t1567')?.hint ?? '', /attack\.T1567$/);
    for (const tag of ['owasp.ASI11', 'owasp.', 'saf.T9999', 'atlas.AML.T9999'])
      assert.ok(checkTag(tag), tag);
  });
  it('refuses namespaces and words that it does not know', () => {
    assert.match(checkTag('mitre.T1567')?.message ?? '', /no tag namespace mitre/);
    assert.match(checkTag('.x')?.message ?? '', /no tag namespace/);
    for (const tag of ['', 'Exfiltration', 'a b', 'a_b'])
      assert.match(checkTag(tag)?.message ?? '', /is no tag/);
  });
});
