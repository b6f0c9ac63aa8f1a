/** What an auditor is shown: the redaction done again gives the record, or one says what is not so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { zRedaction } from '../../../schemas/redaction/v1.ts';
import { keyedBy } from '../../../services/capture/redaction/key.ts';
import { proveRedaction, type Proof } from '../../../services/capture/redaction/prove.ts';
import { recordedBody } from '../../../services/capture/redaction/recorded-body.ts';
import { KEY, OTHER_KEY, redactorOf } from '../../support/redaction/redactor.ts';

const SECRET = 'tr4nsit-K3y-9fQx7LmZ2pVw';
const RULES = [
  { id: 'value', of: 'result', paths: ['$.value'], action: 'digest' },
  { id: 'cards', secrets: ['card_number'], action: 'mask', keepLast: 4 },
  { id: 'staff', patterns: ['EMP-\\d{6}'], action: 'remove' },
];
const policyOf = (rules: readonly object[]) => zRedaction.parse({ v: 1, id: 'test', version: 1, rules });
const ARGS = JSON.stringify({
  url: `https://x.example/?q=${Buffer.from(SECRET).toString('hex')}`,
  note: `"${SECRET}" and ${Buffer.from(`ab${SECRET}`).toString('base64')} for EMP-123456`,
  card: '4111 1111 1111 1111',
});

/** Lines of arguments that hold values of all kinds, after a result that made one known. */
function recordedLines(): readonly string[] {
  const { record } = redactorOf(RULES);
  record('result', JSON.stringify({ value: SECRET }));
  return record('args', ARGS).lines;
}

function proof(
  lines: readonly string[],
  over: { readonly rules?: readonly object[]; readonly key?: Buffer; readonly original?: string } = {},
): Proof {
  const found = recordedBody(lines.join('\n'), undefined);
  assert.ok(found !== undefined);
  const { rules = RULES, key = KEY, original = ARGS } = over;
  return proveRedaction({
    policy: policyOf(rules),
    keyed: keyedBy(key),
    original: Buffer.from(original),
    ...found,
  });
}

describe('proving a redaction', () => {
  it('says yes to what was done, with all kinds of places', () => {
    assert.deepEqual(proof(recordedLines()), { kind: 'proved', places: 5 });
  });
  it('says yes to a body in parts, and to one that was left out', () => {
    const { record } = redactorOf(RULES);
    const long = JSON.stringify({ value: SECRET, filler: 'ä"\\'.repeat(120_000) });
    const { lines } = record('result', long);
    assert.ok(lines.length > 2);
    assert.deepEqual(proof(lines, { original: long }), { kind: 'proved', places: 1 });
    const broken = `{"value":"${SECRET}",}`;
    assert.deepEqual(proof(record('result', broken).lines, { original: broken }), {
      kind: 'proved',
      places: 0,
    });
  });
  const said = (why: string): Proof => ({ kind: 'refuted', why }) as Proof;
  it('says no to another original, key or rules', () => {
    const lines = recordedLines();
    assert.deepEqual(proof(lines, { original: ARGS.replace('note', 'nota') }), said('other_original'));
    assert.deepEqual(proof(lines, { key: OTHER_KEY }), said('other_key'));
    assert.deepEqual(proof(lines, { rules: RULES.slice(0, 2) }), said('other_rules'));
  });
  it('says no to a body or a list in which anything was changed', () => {
    const [line = ''] = recordedLines();
    const { redaction } = JSON.parse(line) as { redaction: { places: Record<string, unknown>[] } };
    const digest = String(redaction.places[0]?.['digest']);
    const changes: readonly (readonly [string, string])[] = [
      // The body alone.
      ['"note":"', '"note":"x'],
      ['[*1111]', '[*1112]'],
      ['[-]', '[- ]'],
      // The list alone.
      ['"known":true', '"known":false'],
      ['"rule":"cards"', '"rule":"staff"'],
      ['"action":"remove"', '"action":"mask"'],
      ['"from":21', '"from":22'],
      ['"start":21', '"start":20'],
    ];
    for (const [from, to] of changes) {
      assert.ok(line.includes(from), from);
      assert.equal(proof([line.replace(from, to)]).kind, 'refuted', `${from} → ${to}`);
    }
    // Body and list together: another value than the one that stands in the original.
    const forged = line.replaceAll(digest, keyedBy(KEY).digest('another-value-77'));
    assert.deepEqual(proof([forged]), said('other_value'));
    for (let at = 0; at < redaction.places.length; at++) {
      const event = JSON.parse(line) as { redaction: { places: unknown[] } };
      event.redaction.places.splice(at, 1);
      assert.equal(proof([JSON.stringify(event)]).kind, 'refuted', `without place ${at}`);
    }
  });
});
