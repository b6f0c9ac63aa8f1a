/** Approvals at a host: exactly one call, exactly these arguments, once, in time, and only by who holds the pinned key. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { verifySignedApproval } from '../../../schemas/approval/verify.ts';
import { verifyEd25519 } from '../../../services/capture/controls/keys.ts';
import { ApprovalDesk, type ApprovalQuestion, type Asked } from '../../../services/capture/policy/desk.ts';
import { decision, pinned, signed, START_MS } from '../../support/policy/approvals.ts';

const MINUTE_MS = 60_000;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const ARGS = sha256('{"path":"/tmp/a"}');

const question = (over: Partial<ApprovalQuestion> = {}): ApprovalQuestion => ({
  agent: 'bot',
  server: 'files',
  tool: 'delete_file',
  argsHash: ARGS,
  ttlMs: 60 * MINUTE_MS,
  notBy: undefined,
  ...over,
});

function place(context: TestContext) {
  const directory = mkdtempSync(path.join(tmpdir(), 'tripline-desk-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const clock = { nowMs: START_MS };
  const watched = new Set<string>();
  /** A process of this host; a new one on the same directory is its restart, or a tap beside it. */
  const desk = (): ApprovalDesk =>
    new ApprovalDesk({
      directory,
      verify: (one) => verifySignedApproval(one, [pinned], verifyEd25519),
      nowMs: () => clock.nowMs,
      randomHex: (bytes) => randomBytes(bytes).toString('hex'),
      watch: (id) => void watched.add(id),
      unwatch: (id) => void watched.delete(id),
      log: () => undefined,
    });
  return { directory, clock, watched, desk };
}

const kind = (asked: Asked): string => asked.kind;
function pendingId(asked: Asked): string {
  if (asked.kind !== 'pending') return assert.fail(`it is ${asked.kind}`);
  return asked.id;
}

describe('an approval at its host', () => {
  it('lets the very call go, once', (context) => {
    const { desk, watched } = place(context);
    const one = desk();
    const id = pendingId(one.ask(question()));
    assert.deepEqual([...watched], [id]);
    one.take(signed(decision(id)));
    assert.equal(watched.size, 0);
    assert.equal(kind(one.ask(question())), 'granted');
    const again = pendingId(one.ask(question()));
    assert.notEqual(again, id);
  });

  it('is for these arguments to the byte, this tool, this server and this agent', (context) => {
    const { desk } = place(context);
    const one = desk();
    one.take(signed(decision(pendingId(one.ask(question())))));
    for (const other of [
      { argsHash: sha256('{"path":"/tmp/b"}') },
      { argsHash: sha256('{"path": "/tmp/a"}') },
      { tool: 'delete_files' },
      { server: 'files2' },
      { agent: 'bot2' },
    ])
      assert.equal(kind(one.ask(question(other))), 'pending');
    assert.equal(kind(one.ask(question())), 'granted');
  });

  it('that is signed for another call answers nothing', (context) => {
    const { desk } = place(context);
    const one = desk();
    const id = pendingId(one.ask(question()));
    for (const over of [
      { argsHash: sha256('x') },
      { tool: 'x' },
      { server: 'x' },
      { agent: 'x' },
      { id: `apr-${'0'.repeat(32)}` },
    ])
      one.take(signed(decision(id, over)));
    assert.equal(pendingId(one.ask(question())), id);
  });

  it('that nobody signed, another key signed, or the key signed as something else, is no approval', (context) => {
    const { desk } = place(context);
    const one = desk();
    const id = pendingId(one.ask(question()));
    const good = signed(decision(id));
    const denied = Buffer.from(JSON.stringify(decision(id, { reason: 'changed' }))).toString('base64');
    for (const forged of [
      null,
      'granted',
      { ...good, signature: Buffer.alloc(64).toString('base64') },
      { ...good, payload: denied },
      { payload: good.payload, keyId: good.keyId },
      signed(decision(id), { key: generateKeyPairSync('ed25519').privateKey }),
      { ...signed(decision(id)), keyId: '0'.repeat(64) },
      signed(decision(id), { domain: 'tripline/control/v1\0' }),
      signed(decision(id), { domain: '' }),
    ])
      one.take(forged);
    assert.equal(pendingId(one.ask(question())), id);
    one.take(good);
    assert.equal(kind(one.ask(question())), 'granted');
  });

  it('that is put into the directory without a signature is none either', (context) => {
    const { desk, directory } = place(context);
    const one = desk();
    const id = pendingId(one.ask(question()));
    const forged = {
      payload: Buffer.from(JSON.stringify(decision(id))).toString('base64'),
      keyId: pinned.keyId,
      signature: '',
    };
    writeFileSync(
      path.join(directory, `${id}.decision.json`),
      JSON.stringify({ signed: forged, firstSeenMs: START_MS }),
    );
    assert.equal(pendingId(desk().ask(question())), id);
  });

  it('outlives a restart between grant and use, and its use does too', (context) => {
    const { desk } = place(context);
    const before = desk();
    before.take(signed(decision(pendingId(before.ask(question())))));
    assert.equal(kind(desk().ask(question())), 'granted');
    assert.equal(kind(desk().ask(question())), 'pending');
  });

  it('that came while the host was away is asked for again at its start', (context) => {
    const { desk, watched } = place(context);
    const id = pendingId(desk().ask(question()));
    watched.clear();
    const back = desk();
    back.load();
    assert.deepEqual([...watched], [id]);
    back.take(signed(decision(id)));
    assert.equal(kind(back.ask(question())), 'granted');
    watched.clear();
    desk().load();
    assert.deepEqual([...watched], []);
  });

  it('is used by one of two taps that want it at once', (context) => {
    const { desk } = place(context);
    const [left, right] = [desk(), desk()];
    const id = pendingId(left.ask(question()));
    assert.equal(pendingId(right.ask(question())), id);
    // Both hear of it.
    left.take(signed(decision(id)));
    right.take(signed(decision(id)));
    assert.deepEqual(
      [left, right, left, right].map((one) => kind(one.ask(question()))),
      ['granted', 'pending', 'pending', 'pending'],
    );
  });

  it('that is replayed after its use opens nothing', (context) => {
    const { desk } = place(context);
    const one = desk();
    const id = pendingId(one.ask(question()));
    const grant = signed(decision(id));
    one.take(grant);
    assert.equal(kind(one.ask(question())), 'granted');
    const next = pendingId(one.ask(question()));
    one.take(grant);
    desk().take(grant);
    assert.equal(pendingId(one.ask(question())), next);
  });

  it('of a request that this host never raised opens nothing', (context) => {
    const { desk } = place(context);
    const one = desk();
    one.take(signed(decision(`apr-${'a'.repeat(32)}`)));
    assert.equal(kind(one.ask(question())), 'pending');
  });

  it('is over when it expires, and a slow clock or one that is set back gains nothing', (context) => {
    const lasting = 10 * MINUTE_MS;
    // Offset of the host's clock from the service's when the grant comes, and ms of the host from then to the call.
    for (const [offsetMs, laterMs, expected] of [
      [0, lasting - 1, 'granted'],
      [0, lasting, 'pending'],
      // Slow by five minutes: by its clock the grant would hold for fifteen.
      [-5 * MINUTE_MS, lasting - 1, 'granted'],
      [-5 * MINUTE_MS, lasting, 'pending'],
      // Fast by five minutes: it ends early.
      [5 * MINUTE_MS, 5 * MINUTE_MS - 1, 'granted'],
      [5 * MINUTE_MS, 5 * MINUTE_MS, 'pending'],
      [20 * MINUTE_MS, 0, 'pending'],
      // Set back by two seconds after the grant was seen.
      [0, -2_000, 'pending'],
    ] as const) {
      const { desk, clock } = place(context);
      clock.nowMs = START_MS + offsetMs;
      const id = pendingId(desk().ask(question()));
      desk().take(signed(decision(id)));
      clock.nowMs += laterMs;
      assert.equal(kind(desk().ask(question())), expected, `${offsetMs} ${laterMs}`);
    }
  });

  it('that another process has seen before is as old as that', (context) => {
    const { desk, clock } = place(context);
    clock.nowMs = START_MS - 30 * MINUTE_MS;
    const id = pendingId(desk().ask(question()));
    const grant = signed(decision(id));
    desk().take(grant);
    clock.nowMs += 9 * MINUTE_MS;
    desk().take(grant);
    clock.nowMs += MINUTE_MS;
    assert.equal(kind(desk().ask(question())), 'pending');
  });

  it('denied, the call stays refused for as long as the request was to be answered', (context) => {
    const { desk, clock } = place(context);
    const id = pendingId(desk().ask(question()));
    desk().take(signed(decision(id, { verdict: 'denied', reason: 'no' })));
    clock.nowMs += 59 * MINUTE_MS;
    const asked = desk().ask(question());
    assert.deepEqual(asked.kind === 'denied' ? [asked.decision.by, asked.decision.reason] : asked, [
      'bob',
      'no',
    ]);
    clock.nowMs += MINUTE_MS;
    assert.notEqual(pendingId(desk().ask(question())), id);
  });

  it('by whom the agent acts for is none where four eyes are asked for', (context) => {
    const { desk } = place(context);
    const id = pendingId(desk().ask(question({ notBy: 'bob' })));
    desk().take(signed(decision(id)));
    assert.equal(kind(desk().ask(question({ notBy: 'bob' }))), 'pending');
    assert.equal(kind(desk().ask(question({ notBy: 'ann' }))), 'granted');
  });

  it('wakes who waits for it; without one the wait ends by itself', async (context) => {
    const { desk } = place(context);
    const one = desk();
    const id = pendingId(one.ask(question()));
    const fromMs = performance.now();
    await one.wait(id, 20);
    assert.ok(performance.now() - fromMs >= 15);
    const waited = one.wait(id, 60_000);
    one.take(signed(decision(id)));
    await waited;
    assert.equal(one.known(question())?.kind, 'granted');
  });

  it('is not asked for without end, and old requests make room', (context) => {
    const { desk, clock, directory } = place(context);
    const one = desk();
    const ask = (n: number): string => kind(one.ask(question({ argsHash: sha256(`${n}`) })));
    for (let n = 0; n < 256; n++) assert.equal(ask(n), 'pending');
    assert.equal(ask(256), 'failed');
    clock.nowMs += 3 * 86_400_000;
    assert.equal(ask(256), 'pending');
    assert.equal(readdirSync(directory).length, 1);
  });

  it('that cannot be written down as used is not used', (context) => {
    const { desk, directory } = place(context);
    const one = desk();
    const id = pendingId(one.ask(question()));
    one.take(signed(decision(id)));
    // Whatever stands there: the name is taken.
    writeFileSync(path.join(directory, `${id}.used`), '');
    assert.equal(kind(one.ask(question())), 'pending');
  });
});
