/** Any order of saying, erasing, holding, releasing and restarting: the ledger verifies, with the right counts. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { ApiClient, tokenOf } from '../../../services/cli/client.ts';
import type { Service } from '../../../services/cli/service.ts';
import { filesHolding, linesOf, person } from '../../support/erasure/people.ts';
import { eventually, openPlace, startIn, tripline, type Place } from '../../integration/cli/harness.ts';

const PEOPLE = 4;
const places: Place[] = [];
after(async () => {
  for (const place of places) await place.remove();
});

type Operation =
  | { readonly kind: 'say' | 'erase' | 'erase_session' | 'hold' | 'release'; readonly who: number }
  | { readonly kind: 'restart' };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('say', 'erase', 'erase_session', 'hold', 'release'),
      who: fc.nat(PEOPLE - 1),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' } as const) },
);

/** What should be there: lines that each person has on record, and how many were erased. */
interface Model {
  readonly lines: number[];
  readonly said: number[];
  readonly holds: (string | undefined)[];
  erased: number;
}

class World {
  readonly #place: Place;
  #service: Service;
  readonly model: Model = {
    lines: Array.from({ length: PEOPLE }, () => 0),
    said: Array.from({ length: PEOPLE }, () => 0),
    holds: Array.from({ length: PEOPLE }, () => undefined),
    erased: 0,
  };

  constructor(place: Place, service: Service) {
    this.#place = place;
    this.#service = service;
  }

  run(...argv: string[]) {
    return tripline(this.#place.env, [...argv, '--json']);
  }

  async act(step: Operation): Promise<void> {
    const { model } = this;
    if (step.kind === 'restart') {
      await this.#service.stop();
      this.#service = await startIn(this.#place);
      return;
    }
    const { who } = step;
    const { principal, session } = person(who);
    switch (step.kind) {
      case 'say': {
        const client = new ApiClient(
          { url: this.#service.url, token: tokenOf(this.#place.env) },
          AbortSignal.timeout(60_000),
        );
        await client.postLines(linesOf(person(who), model.said[who]));
        model.said[who] = (model.said[who] ?? 0) + 1;
        model.lines[who] = (model.lines[who] ?? 0) + 2;
        return;
      }
      case 'hold': {
        if (model.holds[who] !== undefined) return;
        const held = await this.run('hold', 'add', '--principal', principal, '--reason', 'r');
        model.holds[who] = String(held.items().at(-1)?.['id']);
        return;
      }
      case 'release': {
        const id = model.holds[who];
        if (id === undefined) return;
        assert.equal((await this.run('hold', 'release', id, '--reason', 'r')).exitCode, 0);
        model.holds[who] = undefined;
        return;
      }
      case 'erase':
      case 'erase_session': {
        const subject = step.kind === 'erase' ? ['--principal', principal] : ['--session', session];
        const { exitCode, err } = await this.run('erase', ...subject, '--reason', 'r');
        // What is not recorded yet is seen by a hold when the erasure begins: it is refused all the same.
        const isHeld =
          model.holds[who] !== undefined && (step.kind === 'erase' || (model.lines[who] ?? 0) > 0);
        assert.equal(exitCode, isHeld ? 1 : 0, err);
        if (isHeld) return;
        model.erased += model.lines[who] ?? 0;
        model.lines[who] = 0;
      }
    }
  }

  async check(): Promise<void> {
    const { erased, lines, said } = this.model;
    const all = said.reduce((sum, times) => sum + 2 * times, 0);
    const report = await eventually(
      async () => (await this.run('verify')).items().at(-1) ?? {},
      (answer) => Number(answer['entries']) >= all && answer['erased'] === erased,
    );
    assert.deepEqual(
      { verdict: report['verdict'], erased: report['erased'], fault: report['firstFault'] },
      { verdict: 'verified', erased, fault: null },
    );
    const dir = String(this.#place.env['TRIPLINE_DATA_DIR']);
    for (const [who, left] of lines.entries()) {
      if (left === 0) assert.deepEqual(filesHolding(dir, [person(who).said]), []);
    }
  }

  stop(): Promise<void> {
    return this.#service.stop();
  }
}

test('every interleaving verifies', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 4, maxLength: 10 }), async (steps) => {
      const place = await openPlace();
      places.push(place);
      const world = new World(place, await startIn(place));
      try {
        for (const step of steps) await world.act(step);
        await world.check();
      } finally {
        await world.stop();
      }
    }),
    { numRuns: 8, endOnFailure: true },
  );
});
