/** The journal of lines against a model of its writer, killed at any point: what its reader says is not on record. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readJournal } from '../../../services/capture/recorder/journal-reader.ts';
import { LineJournal } from '../../../services/capture/recorder/line-journal.ts';
import {
  JOURNAL_FILE,
  MAX_JOURNALLED_BYTES,
  type OpenCall,
} from '../../../services/capture/recorder/line-parts.ts';

const NAMES = { server: 'cälls', transport: 'stdio' };
const OPEN: readonly OpenCall[] = [{ key: 'to_server n:7', callId: 'ab'.repeat(16) }];

/** Keeps a line, or looks at some and puts `events` on record of them. */
type Step =
  | { readonly kind: 'keep'; readonly text: string; readonly isAnswer: boolean }
  | { readonly kind: 'look'; readonly lines: number; readonly events: number };
const zStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('keep' as const), text: fc.string(), isAnswer: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('look' as const),
      lines: fc.integer({ min: 1, max: 4 }),
      events: fc.integer({ min: 0, max: 3 }),
    }),
  },
);

interface Model {
  /** Kept and not looked at. */
  readonly left: string[];
  /** The last look: its lines, and the sequences before and after it. */
  looked: { readonly lines: readonly string[]; readonly from: number; readonly to: number } | undefined;
  seq: number;
}

class Writer {
  readonly model: Model = { left: [], looked: undefined, seq: 1 };
  readonly #directory: string;
  readonly #journal: LineJournal;
  readonly #openCalls: readonly OpenCall[];

  constructor(directory: string, openCalls: readonly OpenCall[]) {
    this.#directory = directory;
    this.#journal = new LineJournal({ directory, ...NAMES });
    this.#openCalls = openCalls;
  }

  step(step: Step): void {
    const { model } = this;
    switch (step.kind) {
      case 'keep': {
        if (model.left.length === 0) model.looked = undefined;
        const direction = step.isAnswer ? 'to_client' : 'to_server';
        const line = Buffer.from(step.text);
        const kept = this.#journal.keep(
          { direction, line, scope: step.isAnswer ? 's' : '', timeMs: 5 },
          () => this.#openCalls,
        );
        assert.ok(kept, 'kept');
        model.left.push(step.text);
        return;
      }
      case 'look': {
        const lines = model.left.splice(0, step.lines);
        if (lines.length === 0) return;
        this.#journal.looksAt(lines.length, model.seq, model.seq + step.events);
        model.looked = { lines, from: model.seq, to: model.seq + step.events };
        model.seq += step.events;
      }
    }
  }

  close(): void {
    this.#journal.close();
  }

  get file(): Buffer {
    return readFileSync(path.join(this.#directory, JOURNAL_FILE));
  }
}

function withDirectory<T>(run: (directory: string) => T): T {
  const directory = mkdtempSync(path.join(tmpdir(), 'tripline-journal-'));
  try {
    return run(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function written(steps: readonly Step[], openCalls: readonly OpenCall[] = []) {
  return withDirectory((directory) => {
    const writer = new Writer(directory, openCalls);
    writer.step({ kind: 'keep', text: 'first', isAnswer: false });
    for (const step of steps) writer.step(step);
    writer.close();
    return { file: writer.file, model: writer.model };
  });
}

const textsOf = (left: ReturnType<typeof readJournal>): readonly string[] =>
  (left?.lines ?? []).map(({ line }) => Buffer.from(line).toString());

describe('journal of lines', () => {
  it('what is kept and not looked at is left, in its order, with direction, scope, time and names', () => {
    const { file } = written([{ kind: 'keep', text: 'zwéi', isAnswer: true }], OPEN);
    const left = readJournal(file, 1);
    assert.deepEqual(left?.names, { format: 'tripline-lines/1', ...NAMES });
    assert.deepEqual(left?.openCalls, OPEN);
    assert.equal(left?.fromSeq, 1);
    assert.deepEqual(
      left?.lines.map(({ direction, line, scope, timeMs }) => [
        direction,
        Buffer.from(line).toString(),
        scope,
        timeMs,
      ]),
      [
        ['to_server', 'first', '', 5],
        ['to_client', 'zwéi', 's', 5],
      ],
    );
  });

  it('a writer that is killed between any two steps leaves what it had not looked at', () => {
    fc.assert(
      fc.property(fc.array(zStep, { maxLength: 30 }), fc.boolean(), (steps, hasOpen) => {
        const { file, model } = written(steps, hasOpen ? OPEN : []);
        const left = readJournal(file, model.seq);
        assert.deepEqual(textsOf(left), model.left);
        assert.equal(left?.fromSeq, model.seq);
      }),
    );
  });

  it('a writer that is killed before its look is in the spool, or in the midst of it, leaves that too', () => {
    fc.assert(
      fc.property(fc.array(zStep, { maxLength: 30 }), fc.nat(), (steps, some) => {
        const { file, model } = written(steps);
        const { looked } = model;
        if (looked === undefined || looked.to === looked.from) return;
        const all = [...looked.lines, ...model.left];
        const nothing = readJournal(file, looked.from);
        assert.deepEqual(textsOf(nothing), all);
        assert.equal(nothing?.fromSeq, looked.from);
        const whole = looked.from + (some % (looked.to - looked.from));
        const torn = readJournal(file, whole);
        assert.deepEqual(textsOf(torn), all);
        assert.equal(torn?.fromSeq, looked.from, 'what is whole of it is written again');
      }),
    );
  });

  it('a line whose write was cut off is none, those before it are', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 8 }), fc.nat(), (texts, some) => {
        const steps = texts.map((text): Step => ({ kind: 'keep', text, isAnswer: false }));
        const before = written(steps.slice(0, -1)).file;
        const { file } = written(steps);
        const cut = before.length + (some % (file.length - before.length));
        const left = readJournal(file.subarray(0, cut), 1);
        assert.deepEqual(textsOf(left), ['first', ...texts.slice(0, -1)]);
      }),
    );
  });

  it('no file makes the reader throw, and no changed line is read', () => {
    const { file } = written([{ kind: 'keep', text: 'second', isAnswer: true }], OPEN);
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(file);
        changed[at] = (changed[at] ?? 0) ^ change;
        for (const text of textsOf(readJournal(changed, 1)))
          assert.ok(text === 'first' || text === 'second', text);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.equal(readJournal(bytes, 1), undefined);
      }),
    );
  });

  it('takes no line that is too long, and none once the disk has refused', () => {
    withDirectory((directory) => {
      const journal = new LineJournal({ directory, ...NAMES });
      const line = (bytes: number) => ({
        direction: 'to_server' as const,
        line: Buffer.alloc(bytes, 'x'),
        scope: '',
        timeMs: 5,
      });
      assert.equal(
        journal.keep(line(MAX_JOURNALLED_BYTES + 1), () => []),
        false,
      );
      assert.equal(
        journal.keep(line(MAX_JOURNALLED_BYTES), () => []),
        true,
      );
      journal.close();
      const refused = new LineJournal({ directory: path.join(directory, 'missing'), ...NAMES });
      assert.equal(
        refused.keep(line(1), () => []),
        false,
      );
    });
  });

  it('a batch has a bound; what finds no room goes on when it is looked at', () => {
    withDirectory((directory) => {
      const journal = new LineJournal({ directory, ...NAMES });
      const line = { direction: 'to_server' as const, line: Buffer.alloc(60_000, 'x'), scope: '', timeMs: 5 };
      let kept = 0;
      while (journal.keep(line, () => [])) kept++;
      assert.ok(kept >= 17 && kept <= 19, `${kept} lines of 60 kB in 1 MiB`);
      journal.looksAt(kept, 1, 2);
      assert.equal(
        journal.keep(line, () => []),
        true,
      );
      journal.close();
    });
  });
});
