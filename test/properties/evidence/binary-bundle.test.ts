/**
 * A bundle says the same in binary as in NDJSON: of random logs, whole, in part and sampled, sound and with random changes,
 * the verifier's two reports are equal to the letter, on one thread and on several. And whatever bytes stand in a binary bundle, they end in a report or
 * in export_invalid.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { isTriplineError } from '../../../schemas/errors.ts';
import { BUNDLE_MAGIC, MAX_SECTION_BYTES } from '../../../services/evidence/bundle-binary.ts';
import { verifierScript } from '../../../services/cli/verifier-script.ts';
import type { BlockWorkers, LookedInto } from '../../../services/evidence/look-ahead.ts';
import { readBundle } from '../../../services/evidence/read-bundle.ts';
import { verifyBundle, type VerifyOptions } from '../../../services/evidence/verify.ts';
import { nodeCrypto } from '../../../services/platform/ledger/crypto.ts';
import { withWorkers } from '../../../services/verifier/workers.ts';
import {
  append,
  callLine,
  exported,
  openBench,
  recordOf,
  runWriter,
  streamOf,
  type Bench,
} from '../../integration/record/harness.ts';
import { binaryOf, NoBinaryForm } from '../../support/evidence/binary-bundle.ts';
import { changeOf } from '../../support/evidence/changes.ts';
import { SigningProducer } from '../../support/producers/signing.ts';

const LINES = 8;

/** Threads that are given every block, and what they found. */
class Watched implements BlockWorkers {
  readonly room: number;
  readonly worthBytes: number;
  readonly #workers: BlockWorkers;
  blocks = 0;
  usual = 0;
  signed = 0;

  constructor(workers: BlockWorkers) {
    this.#workers = workers;
    this.room = workers.room;
    this.worthBytes = workers.worthBytes;
  }

  begin(...mappings: Parameters<BlockWorkers['begin']>): void {
    this.#workers.begin(...mappings);
  }

  async find(...block: Parameters<BlockWorkers['find']>): Promise<LookedInto> {
    this.blocks += 1;
    const answer = await this.#workers.find(...block);
    this.usual += answer.found?.findings.effectiveMs.filter((ms) => !Number.isNaN(ms)).length ?? 0;
    this.signed += answer.found?.findings.signed.length ?? 0;
    return answer;
  }
}

const onThreads = <Result>(jobs: number, act: (workers: Watched) => Promise<Result>): Promise<Result> =>
  withWorkers({ jobs, script: verifierScript(), worthBytes: 0 }, ({ workers }) => {
    assert.ok(workers !== undefined);
    return act(new Watched(workers));
  });

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** The report, or the code of what was thrown instead. Anything but export_invalid is a crash. */
async function outcomeOf(
  bytes: Uint8Array,
  options: VerifyOptions = {},
  pieceBytes = 65_536,
): Promise<unknown> {
  try {
    return await verifyBundle(pieces(bytes, pieceBytes), nodeCrypto, options);
  } catch (error) {
    if (isTriplineError(error, 'export_invalid')) return error.code;
    throw error;
  }
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** When its heads were signed is the time of asking. */
const withoutTime = (bundle: Buffer): string => bundle.toString('latin1').replaceAll(/"signedAtMs":\d+/g, '');
const linesOf = (bundle: Buffer): string[] => bundle.toString().trimEnd().split('\n');

const sampleOf = (every: number | undefined, salt: number): VerifyOptions =>
  every === undefined ? {} : { sample: { every, phase: salt % every } };

describe('a binary bundle', () => {
  let bench: Bench;
  const bundles: string[][] = [];
  let binary: Buffer;

  before(async () => {
    bench = await openBench();
    // Streams with holes, repeats, other bytes at the same place, lines that cannot be read, names beyond ASCII.
    for (let n = 0; n < 3; n += 1) {
      const stream = `s${n}`;
      const lines = Array.from({ length: LINES }, (_, seq) =>
        callLine(stream, seq, { principal: n === 0 ? 'jürgen' : 'user@example.org', labels: ['a', 'β'] }),
      );
      await append(bench, [
        recordOf(stream, 0, lines.slice(0, 3)),
        recordOf(stream, 5, lines.slice(5)),
        recordOf(stream, 3, lines.slice(3, 4)),
        recordOf(stream, 0, [callLine(stream, 0, { agent: 'other' })]),
        recordOf(stream, LINES, ['{"no":"event"}']),
      ]);
    }
    const producer = new SigningProducer();
    const of = { tenant: 'acme', session: 'session signed', stream: streamOf('signed') };
    const lines = Array.from({ length: 5 }, (_, seq) => callLine('signed', seq));
    const first = producer.record(of, 0, lines.slice(0, 3));
    await append(bench, [first.message, producer.record(of, 3, lines.slice(3), first.lastHash).message]);
    await runWriter(bench, bench);
    for (const more of [{}, { session: 'session s1' }])
      bundles.push(linesOf(await whole(exported(bench, more))));
    binary = await whole(exported(bench, { format: 'binary' }));
  });
  after(async () => {
    await bench?.close();
  });

  it('is, as the store writes it, what its NDJSON is in binary', async () => {
    assert.ok(binary.length > 4000);
    for (const [n, more] of [{}, { session: 'session s1' }].entries()) {
      const written = await whole(exported(bench, { format: 'binary', ...more }));
      assert.deepEqual(await outcomeOf(written), await outcomeOf(Buffer.from(`${bundles[n]?.join('\n')}\n`)));
      assert.equal(withoutTime(binaryOf(bundles[n] ?? [])), withoutTime(written), `bundle ${n}`);
    }
    const report = (await outcomeOf(binary)) as { readonly entries: number };
    assert.ok(report.entries > 3 * LINES);
  });

  it('ends in the same report as its NDJSON, on one thread and on several, whatever is changed in it', async () => {
    let compared = 0;
    const changes = fc.record({
      of: fc.nat(),
      at: fc.nat(),
      leaf: fc.nat(),
      salt: fc.nat(),
      how: fc.constantFrom('value', 'value', 'value', 'drop', 'double', 'swap'),
      blockEntries: fc.integer({ min: 1, max: 12 }),
      sample: fc.option(fc.integer({ min: 2, max: 4 }), { nil: undefined }),
    });
    const compareAll = async (...either: readonly [Watched, Watched]): Promise<void> => {
      const [two] = either;
      await fc.assert(
        fc.asyncProperty(changes, async ({ of, at, leaf, salt, how, blockEntries, sample }) => {
          const lines = [...(bundles[of % bundles.length] ?? [])];
          const index = at % lines.length;
          const line = lines[index] ?? '';
          if (how === 'value') lines[index] = changeOf(line, leaf, salt).line;
          else if (how === 'drop') lines.splice(index, 1);
          else if (how === 'double') lines.splice(index, 0, line);
          else lines.splice(index, 2, lines[index + 1] ?? line, line);
          let bytes: Buffer;
          try {
            bytes = binaryOf(lines, blockEntries);
          } catch (error) {
            // Binary has no form of half a hash: there is nothing to compare.
            if (error instanceof NoBinaryForm) return;
            throw error;
          }
          const options = sampleOf(sample, salt);
          const ndjson = await outcomeOf(Buffer.from(`${lines.join('\n')}\n`), options);
          for (const threads of [{}, { workers: either[salt % 2] as Watched }])
            assert.deepEqual(await outcomeOf(bytes, { ...options, ...threads }, 1 + (salt % 5000)), ndjson);
          compared += 1;
        }),
        { numRuns: 60 },
      );
      const found = { blocks: two.blocks, usual: two.usual, signed: two.signed };
      assert.ok(found.blocks > 20 && found.usual > 20 && found.signed > 0, JSON.stringify(found));
    };
    await onThreads(2, (two) => onThreads(3, (three) => compareAll(two, three)));
    assert.ok(compared > 30, String(compared));
  });

  it('ends in a report or in export_invalid, whatever bytes it is made of', async () => {
    const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(), async (some, cut) => {
        const bytes = Buffer.from(binary);
        for (const { at, to } of some)
          bytes[BUNDLE_MAGIC.length + (at % (bytes.length - BUNDLE_MAGIC.length))] = to;
        await outcomeOf(bytes);
        await outcomeOf(bytes.subarray(0, cut % bytes.length));
      }),
      { numRuns: 60 },
    );
  });

  it('is refused where a section says that it is longer than any may be', async () => {
    const head = Buffer.alloc(5);
    head[0] = 2;
    head.writeUInt32BE(MAX_SECTION_BYTES + 1, 1);
    assert.equal(await outcomeOf(Buffer.concat([BUNDLE_MAGIC, head])), 'export_invalid');
  });

  it('does not get around a column by leaving it out of the columns that its header names', async () => {
    const altered = (bundles[0] ?? []).map((line) => line.replace('"tool":"fetch"', '"tool":"other_file"'));
    const bytes = binaryOf(altered, 4096, { without: 'tool' });
    const report = (await outcomeOf(bytes)) as { firstFault: { code: string; detail: string } };
    assert.deepEqual(
      [report.firstFault.code, report.firstFault.detail],
      ['projection_altered', 'events.tool'],
    );
  });

  it('goes on where an earlier run stopped, on threads as on one', async () => {
    const known: { logId: string; size: number; root: string }[] = [];
    await verifyBundle(pieces(binary, 65_536), nodeCrypto, {
      onProgress: (_, verified) => known.push(...verified()),
    });
    const [log] = known;
    assert.ok(log !== undefined);
    const resumed = await outcomeOf(binary, { resume: known });
    assert.ok((resumed as { shallow: { resumed: number } }).shallow.resumed > LINES);
    await onThreads(2, async (workers) => {
      assert.deepEqual(await outcomeOf(binary, { resume: known, workers }), resumed);
      assert.ok(workers.blocks > 0 && workers.usual === 0);
    });
  });

  it('does not take the order of times from a thread, which sees one row at a time', async () => {
    const altered = [...(bundles[0] ?? [])];
    const at = altered.findIndex((line) => line.includes('"callId":"call-1"') || line.includes('"idx":1,'));
    altered[at] = (altered[at] ?? '').replace(
      /"effective_time":"(\d+)"/,
      (_, ms: string) => `"effective_time":"${Number(ms) + 1}"`,
    );
    const bytes = binaryOf(altered, 4096);
    const report = (await outcomeOf(bytes)) as { firstFault: { code: string; detail: string } };
    const { code, detail } = report.firstFault;
    assert.deepEqual([code, detail], ['projection_altered', 'events.effective_time']);
    await onThreads(2, async (workers) => {
      assert.deepEqual(await outcomeOf(bytes, { workers }), report);
      assert.ok(workers.usual > 0);
    });
  });

  // Each is a way for a thread to leave a part unchecked.
  const FAILING = {
    'ends before it answers': `process.exit(0)`,
    'ends at its first block': `port.on('message', ({ kind }) => { if (kind === 'find') process.exit(0); })`,
    'ends at a later block': `let n = 0; port.on('message', (task) => {
      if (task.kind === 'find' && ++n === 3) process.exit(0);
      if (task.kind === 'find') port.postMessage({ bytes: task.bytes, found: undefined });
    })`,
    'throws at a block': `port.on('message', ({ kind }) => { if (kind === 'find') throw new Error('lost'); })`,
    'answers another block': `port.on('message', () => port.postMessage({ bytes: new Uint8Array(3), found: undefined }))`,
    'answers for too few entries': `port.on('message', ({ kind, bytes }) => { if (kind === 'find') {
      const none = new Uint8Array(0);
      const findings = { leafHashes: none, eventMs: none, effectiveMs: none, signed: none, keyIds: none };
      port.postMessage({ bytes, found: { tables: [{ count: 1 }], entries: { count: 1 }, findings } });
    } })`,
  } as const;
  for (const [how, text] of Object.entries(FAILING))
    it(`is not called sound where a thread ${how}`, async () => {
      const source = `import { parentPort as port } from 'node:worker_threads';\n${text}`;
      const script = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
      const bytes = binaryOf(bundles[0] ?? [], 1);
      await assert.rejects(
        withWorkers({ jobs: 2, script, worthBytes: 0 }, (workers) =>
          verifyBundle(pieces(bytes, 65_536), nodeCrypto, workers),
        ),
        { code: 'verify_worker_failed' },
      );
    });

  it('is cut off where its last section is', async () => {
    const report = (await outcomeOf(binary.subarray(0, binary.length - 3))) as {
      firstFault: { code: string };
    };
    assert.equal(report.firstFault.code, 'bundle_truncated');
  });

  it('is read the same whatever the pieces are that it comes in', async () => {
    const read = async (size: number): Promise<number> => {
      const types: string[] = [];
      for await (const { type } of readBundle(pieces(binary, size))) types.push(type);
      return types.length;
    };
    const expected = bundles[0]?.length;
    for (const size of [1, 18, 20, binary.length]) assert.equal(await read(size), expected);
  });
});
