/**
 * Columns that are compared on bytes are never found the same where the comparison of values finds them different, whatever
 * the line holds and whatever is changed in line, row or entry; and those of a usual event are found the same by bytes.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { destHostIn } from '../../../detectors/classify/dest-host-bytes.ts';
import { destHost } from '../../../detectors/classify/index.ts';
import { isTriplineError } from '../../../schemas/errors.ts';
import { readEventLine } from '../../../schemas/event/read.ts';
import { EVENT_KINDS, OUTCOMES, TOOL_CLASSES, TRANSPORTS } from '../../../schemas/event/v1.ts';
import { REQUIRED_FIELDS } from '../../../schemas/event/validate.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { BlockEntry, EVENTS, LEDGER, PAYLOADS } from '../../../services/evidence/block-entry.ts';
import { BlockWriter } from '../../../services/evidence/bundle-binary.ts';
import type { BundleRows } from '../../../services/evidence/bundle.ts';
import { toHex, ZERO_HASH } from '../../../services/evidence/bytes.ts';
import { ENTRY_TYPES } from '../../../services/evidence/entry.ts';
import { classMappingVersion, lineFlags, projectEvent } from '../../../services/evidence/projection.ts';
import { RowsBlock } from '../../../services/evidence/rows-block.ts';
import { TABLE_LAYOUTS } from '../../../services/evidence/table-layout.ts';
import { readTimes, scannedTimes } from '../../../services/evidence/verify-block.ts';
import { comparable } from '../../../services/evidence/verify-projections.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';
import { addRows } from '../../support/evidence/binary-bundle.ts';
import { addresses } from '../../support/event/addresses.ts';

const STREAM = '00112233445566778899aabbccddeeff';
const HASH = '5e'.repeat(32);
const TIME_MS = Date.UTC(2026, 0, 31, 12);
const encoder = new TextEncoder();
const mapping = classMappingVersion(
  { mappings: [{ server: 'mapped', class: 'payment' }], internalHosts: ['localhost', '.inside.example'] },
  sha256,
);

const text = fc.oneof(
  fc.constantFrom('a', 'name-1', 'jürgen', 'a"b', 'x'.repeat(70), '\ud800', '日本'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
);
const address = addresses('a.inside.example');
const names = fc.constantFrom('url', 'URL', 'to', 'lin\u212a', '7', 'q', 'text', 'host', '__proto__', 'ключ');
const { args } = fc.letrec((tie) => ({
  args: fc.oneof(
    { maxDepth: 7, depthSize: 'large' },
    fc.oneof(address, address, text, fc.constantFrom<unknown>(1.5, true, null, -0)),
    fc.dictionary(names, tie('args'), { maxKeys: 4 }),
    fc.array(tie('args'), { maxLength: 3 }),
  ),
}));

const kind = fc.constantFrom(...EVENT_KINDS);
const stamp = fc.record(
  {
    id: text,
    version: fc.nat(),
    hash: fc.constant(HASH),
    mode: fc.constantFrom('shadow', 'warn', 'enforce'),
    effect: fc.constantFrom('allow', 'refuse', 'approve'),
    rule: text,
    request: fc.record({ ttlMs: fc.nat(), waitMs: fc.nat(), fourEyes: fc.boolean() }),
  },
  { requiredKeys: ['id', 'version', 'hash', 'mode'] },
);
/** Of every event, and what calls need beside. */
const required = [...REQUIRED_FIELDS, 'callId', 'tool', 'outcome'] as const;
const event = fc.record(
  {
    v: fc.constant(1),
    kind: fc.oneof({ weight: 3, arbitrary: fc.constantFrom('call.intent', 'call.result') }, kind),
    stream: fc.constant(STREAM),
    seq: fc.constantFrom(4),
    nonce: fc.constant('a'.repeat(32)),
    time: fc.constantFrom(
      '2026-01-31T12:00:00.000Z',
      '2026-01-31T11:00:00.009Z',
      '2026-01-31T13:00:00.000Z',
      '0000-01-01T00:00:00.000Z',
    ),
    session: text,
    agent: text,
    callId: text,
    tool: fc.oneof(fc.constantFrom('send_email', 'read_file'), text),
    outcome: fc.constantFrom(...OUTCOMES),
    principal: text,
    host: text,
    logicalCallId: text,
    decisionId: text,
    traceId: fc.constant('0'.repeat(32)),
    spanId: fc.constant('1'.repeat(16)),
    parentSpanId: fc.constant('2'.repeat(16)),
    server: fc.oneof(fc.constantFrom('mapped', 'mail'), text),
    transport: fc.constantFrom(...TRANSPORTS),
    method: fc.constantFrom('resources/read', 'prompts/get'),
    class: fc.constantFrom(...TOOL_CLASSES),
    definitionHash: fc.constant(HASH),
    annotations: fc.record({ readOnlyHint: fc.boolean(), destructiveHint: fc.boolean() }),
    args,
    argsHash: fc.constant(HASH),
    argsBytes: fc.oneof(fc.nat(), fc.maxSafeNat()),
    result: args,
    resultHash: fc.constant(HASH),
    resultBytes: fc.nat(),
    schemaValid: fc.boolean(),
    durationMs: fc.oneof(
      fc.nat(),
      fc.constantFrom(12.5, 0.1, 1.001, 1e-7, 1e12),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
    ),
    trust: fc.oneof(fc.constantFrom('trusted', 'untrusted'), fc.record({ level: text, by: text })),
    labels: fc.array(text, { maxLength: 3 }),
    verdict: text,
    controlId: text,
    approvalId: text,
    policy: stamp,
    decision: fc.record({ id: text }),
    mcp: fc.record({ uri: text, taskId: text }, { requiredKeys: [] }),
    streamState: fc.record({ count: fc.constantFrom(4, 5) }),
    unknown: text,
  },
  { requiredKeys: [...required] },
);

const typeOf = (of: string): number =>
  new Map<string, number>([
    ['stream.open', ENTRY_TYPES.streamOpen],
    ['stream.heartbeat', ENTRY_TYPES.streamHeartbeat],
    ['stream.close', ENTRY_TYPES.streamClose],
  ]).get(of) ?? ENTRY_TYPES.event;

const APPEND_MS = TIME_MS + 7;
const PREVIOUS_MS = TIME_MS - 1000;
const PLACE = { tenant: 'acme', topic: TOPICS.toolcalls.name, partition: 3, offset: 70_000, line: 2 };

function inStore(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inStore);
  return typeof value === 'string' ? comparable(value) : value;
}

/** Block of the one entry that record writes for the line; undefined for a line that is no event. */
function blockOf(line: Uint8Array): Uint8Array | undefined {
  const read = readEventLine(line);
  if (read.kind !== 'event') return undefined;
  const projected = projectEvent({
    event: read.event,
    unknownFields: read.unknownFields,
    appendMs: APPEND_MS,
    previousEffectiveMs: PREVIOUS_MS,
    equivocation: false,
    mapping,
  });
  const stream = { stream_id: STREAM, seq: read.event.seq };
  const none = toHex(ZERO_HASH);
  const columns = { ...PLACE, ...stream, append_time: APPEND_MS, ...projected };
  const events = Object.fromEntries(
    TABLE_LAYOUTS.events.map(([name, type]) => {
      const value = inStore((columns as Readonly<Record<string, unknown>>)[name]);
      return [name, type === 'ms' ? String(value) : value];
    }),
  );
  const ledger = {
    ...PLACE,
    ...stream,
    type: typeOf(read.event.kind),
    append_ms: APPEND_MS,
    prev_leaf_hash: none,
    leaf_hash: none,
    ev_hash: none,
    key_id: none,
    flags: lineFlags(read.event, APPEND_MS),
    session_id: comparable(read.event.session),
  };
  const payload = { ...PLACE, prev_ev_hash: none, batch: '', bytes: Buffer.from(line).toString('base64') };
  const rows = { type: 'rows', idx: 9, ledger: [ledger], payloads: [payload], events: [events] };
  const block = new BlockWriter();
  addRows(block, rows as unknown as BundleRows, TABLE_LAYOUTS);
  return Uint8Array.from(block.block());
}

type Judged = number | 'differs' | 'malformed';

/** What bytes and what values say of the entry of a block. */
function judged(bytes: Uint8Array): Readonly<Record<'byBytes' | 'byValues', Judged>> {
  const judge = (time: typeof readTimes): Judged => {
    try {
      const entry = new BlockEntry(new RowsBlock(bytes, TABLE_LAYOUTS), 0);
      const [row] = entry.ledger;
      const [payload] = entry.payloads;
      assert.ok(row !== undefined && payload !== undefined);
      const timed = { row, payload, mapping, previousEffectiveMs: PREVIOUS_MS };
      return time(entry, timed)?.effectiveMs ?? 'differs';
    } catch (error) {
      if (isTriplineError(error, 'export_invalid')) return 'malformed';
      throw error;
    }
  };
  return { byBytes: judge(scannedTimes), byValues: judge(readTimes) };
}

const neverLaxer = ({ byBytes, byValues }: ReturnType<typeof judged>, about: () => string): void => {
  if (byBytes !== 'differs') assert.equal(byBytes, byValues, about());
};
const shown = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

describe('columns compared on bytes', () => {
  it('are the same where they are the same as values', () => {
    let usual = 0;
    let all = 0;
    fc.assert(
      fc.property(event, (of) => {
        const block = blockOf(encoder.encode(JSON.stringify(of)));
        if (block === undefined) return;
        const outcome = judged(block);
        assert.equal(typeof outcome.byValues, 'number', shown(block));
        neverLaxer(outcome, () => shown(block));
        all += 1;
        if (typeof outcome.byBytes === 'number') usual += 1;
        // Nothing here is out of the ordinary.
        else
          assert.ok(
            'unknown' in of || of.kind === 'call.body' || /\\/.test(JSON.stringify(of)),
            shown(block),
          );
      }),
      { numRuns: 600 },
    );
    assert.ok(usual > 50, `${usual} of ${all}`);
  });

  it('differ where one byte of line, row or entry is another and the values differ', () => {
    let found = 0;
    const changes = fc.record({
      table: fc.constantFrom(LEDGER, PAYLOADS, EVENTS, EVENTS),
      at: fc.nat(),
      to: fc.nat(255),
    });
    fc.assert(
      fc.property(event, fc.array(changes, { minLength: 1, maxLength: 60 }), (of, some) => {
        const sound = blockOf(encoder.encode(JSON.stringify({ ...of, unknown: undefined })));
        if (sound === undefined) return;
        const places = new RowsBlock(sound, TABLE_LAYOUTS);
        for (const { table, at, to } of some) {
          const bytes = Uint8Array.from(sound);
          const [from, end] = [places.fromOf(table, 0), places.toOf(table, 0)];
          bytes[from + (at % (end - from))] = to;
          const outcome = judged(bytes);
          neverLaxer(outcome, () => shown(bytes));
          if (outcome.byValues === 'differs') found += 1;
        }
      }),
      { numRuns: 200 },
    );
    assert.ok(found > 500, String(found));
  });

  it('differ wherever any one bit of a row or an entry is another', () => {
    const of = {
      v: 1,
      kind: 'call.intent',
      stream: STREAM,
      seq: 4,
      nonce: 'a'.repeat(32),
      time: '2026-01-31T12:00:00.000Z',
      session: 's',
      agent: 'a',
      callId: 'c',
      tool: 'send_email',
      server: 'mail',
      principal: 'jürgen',
      args: { to: 'a@example.org' },
      argsBytes: 9,
      durationMs: 12.5,
      schemaValid: true,
      labels: ['x', 'y'],
      policy: {
        id: 'p',
        version: 2,
        hash: HASH,
        mode: 'enforce',
        request: { ttlMs: 5, waitMs: 1, fourEyes: true },
      },
    };
    const sound = blockOf(encoder.encode(JSON.stringify(of)));
    assert.ok(sound !== undefined);
    assert.equal(judged(sound).byBytes, TIME_MS);
    const places = new RowsBlock(sound, TABLE_LAYOUTS);
    for (let at = places.fromOf(EVENTS, 0); at < places.toOf(EVENTS, 0); at += 1) {
      for (let bit = 1; bit < 256; bit *= 2) {
        const bytes = Uint8Array.from(sound);
        bytes[at] = (bytes[at] as number) ^ bit;
        const { byBytes, byValues } = judged(bytes);
        neverLaxer({ byBytes, byValues }, () => `${at} ${bit}`);
        // A true that is written as another number is a true all the same.
        if (byValues !== TIME_MS) assert.notEqual(byBytes, TIME_MS);
      }
    }
  });
});

describe('the host that arguments name, read by their bytes', () => {
  const internalHosts = mapping.internalHosts;

  it('is the one that is read by their values, or left to those', () => {
    let told = 0;
    let hosts = 0;
    fc.assert(
      fc.property(args, fc.constantFrom(undefined, 1), (value, indent) => {
        const json = JSON.stringify(value, undefined, indent);
        const bytes = encoder.encode(`,${json},"x":"http://other.example/"`);
        const end = 1 + encoder.encode(json).length;
        const host = destHostIn(bytes, { from: 1, end }, internalHosts);
        if (host === undefined) return;
        told += 1;
        const expected = destHost({ args: JSON.parse(json) as unknown }, internalHosts);
        assert.equal(host, expected, json);
        if (host !== '') hosts += 1;
      }),
      { numRuns: 3_000 },
    );
    assert.ok(told > 1_000 && hosts > 100, `${told} told, ${hosts} hosts`);
  });

  it('is left to the values beyond what is walked', () => {
    const many = { list: Array.from({ length: 300 }, () => 'x'), url: 'http://example.org/' };
    const deep = [[[[[[['http://example.org/']]]]]]];
    for (const value of [many, deep, { 1: 'x' }]) {
      const bytes = encoder.encode(JSON.stringify(value));
      assert.equal(destHostIn(bytes, { from: 0, end: bytes.length }, []), undefined);
    }
  });
});
