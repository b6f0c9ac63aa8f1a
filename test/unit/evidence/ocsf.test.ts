/** Bundles as OCSF events: what classes 6003 and 2004 require, and a chain that anybody can follow with SHA-256 alone. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { Ajv } from 'ajv';
import type { BundleLine } from '../../../services/evidence/bundle.ts';
import { API_ACTIVITY, DETECTION_FINDING } from '../../support/ocsf/facts.ts';
import { canonicalJson, OcsfEvents } from '../../../services/evidence/ocsf.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';

const LOG = 'ab'.repeat(32);
const hash = (digit: string): string => digit.repeat(64);

function rows(idx: number, more: object): BundleLine {
  const ledger = {
    type: 0,
    leaf_hash: hash('1'),
    prev_leaf_hash: hash('0'),
    topic: 'tripline.toolcalls.v1',
    partition: 3,
    offset: 7,
    line: 0,
    append_ms: 1_764_000_000_000,
    stream_id: 'c'.repeat(32),
    seq: idx,
    ev_hash: hash('2'),
    key_id: hash('0'),
    flags: 0,
    tenant: 'acme',
    session_id: 'run 1',
  };
  const none = { payloads: [], events: [], alerts: [], deadLetters: [], dispositions: [] };
  return { type: 'rows', idx, ledger: [ledger], ...none, ...more };
}

const CALL = {
  kind: 'call.intent',
  class: 'secret_read',
  agent: 'bot',
  tool: 'read_secret',
  server: 'vault',
  call_id: '1',
  event_time: '1764000000001',
  trace_id: 'f'.repeat(32),
  dest_host: '',
  principal: 'eve\ud800',
  outcome: '',
};
const ALERT = {
  alert_id: 'a1',
  rule_id: 'chain.x',
  rule_hash: hash('3'),
  title: 'x',
  level: 'high',
  effective_time: 5,
};

interface Attested {
  readonly [name: string]: unknown;
  readonly attestation_list: readonly {
    readonly uid: string;
    readonly prev_event?: { readonly uid: string; readonly fingerprint: { readonly value: string } };
    readonly fingerprint?: { readonly value: string };
  }[];
}

describe('OCSF events of a bundle', () => {
  const events = new OcsfEvents(sha256);
  const lines: BundleLine[] = [
    { type: 'log', logId: LOG, tenant: 'acme', topic: 'tripline.toolcalls.v1', partition: 3, size: 3 },
    rows(0, { events: [CALL] }),
    rows(1, { events: [{ ...CALL, kind: 'stream.open' }] }),
    rows(2, { alerts: [ALERT] }),
  ];
  const made = lines.flatMap((line) => [...events.take(line)]).map((text) => JSON.parse(text) as Attested);

  it('are the tool calls and the alerts, in the classes that OCSF has for them', () => {
    assert.deepEqual(
      made.map((event) => [event['class_uid'], event['type_uid'], event['severity_id']]),
      [
        [6003, 600_302, 1],
        [2004, 200_401, 4],
      ],
    );
  });

  it('have the attributes, types and values that OCSF 1.9.0 defines, and no other', () => {
    const ajv = new Ajv({ strict: false, allErrors: true });
    const judges = { 6003: ajv.compile(API_ACTIVITY), 2004: ajv.compile(DETECTION_FINDING) };
    const other = [
      { ...CALL, class: 'code_exec', outcome: 'error', dest_host: 'example.org' },
      { kind: 'call.result', event_time: '5' },
    ];
    const bare = { alert_id: '', rule_id: '', rule_hash: '', title: '', level: '', effective_time: 0 };
    const more = [
      ...other.map((call, at) => rows(3 + at, { events: [call] })),
      rows(5, { alerts: [bare] }),
    ].flatMap((line) => [...events.take(line)]);
    for (const event of [...made, ...more.map((text) => JSON.parse(text) as Attested)]) {
      const judge = judges[event['class_uid'] as keyof typeof judges];
      assert.ok(judge(event), JSON.stringify([judge.errors, event], null, 1));
      assert.equal(event['type_uid'], Number(event['class_uid']) * 100 + Number(event['activity_id']));
    }
  });

  it('are chained over their own form', () => {
    let before: string | undefined;
    for (const event of made) {
      const [{ fingerprint, ...rest }, ...more] = event.attestation_list as [Attested['attestation_list'][0]];
      assert.deepEqual(more, []);
      assert.equal(rest.prev_event?.fingerprint.value, before);
      const text = canonicalJson(JSON.parse(JSON.stringify({ ...event, attestation_list: [rest] })));
      before = createHash('sha256').update(text).digest('hex');
      assert.equal(fingerprint?.value, before);
    }
  });

  it('are written as RFC 8785 has it', () => {
    // Section 3.2.3 of the RFC, and its numbers.
    const value = {
      '€': 'Euro Sign',
      '\r': 'Carriage Return',
      '1': 'One',
      '\u0080': 'Control',
      ö: 'o',
      '\u{1F600}': 'Smiley',
    };
    assert.equal(
      canonicalJson({
        ...value,
        numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      }),
      '{"\\r":"Carriage Return","1":"One","numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"\u0080":"Control","ö":"o","€":"Euro Sign","\u{1F600}":"Smiley"}',
    );
    assert.equal(JSON.stringify(made).includes('\\ud800'), false);
  });
});
