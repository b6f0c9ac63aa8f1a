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
    switch (step.kind) {
      case 'restart':
        await this.#service.stop();
        this.#service = await startIn(this.#place);
        return;
      case 'say':
        return await this.#say(step.who);
      case 'hold':
        return await this.#hold(step.who);
      case 'release':
        return await this.#release(step.who);
      case 'erase':
      case 'erase_session':
        return await this.#erase(step.kind, step.who);
    }
  }

  async #say(who: number): Promise<void> {
    const { said, lines } = this.model;
    const endpoint = { url: this.#service.url, token: tokenOf(this.#place.env) };
    const times = said[who] ?? 0;
    await new ApiClient(endpoint, AbortSignal.timeout(60_000)).postLines(linesOf(person(who), times));
    said[who] = times + 1;
    lines[who] = (lines[who] ?? 0) + 2;
  }

  async #hold(who: number): Promise<void> {
    if (this.model.holds[who] !== undefined) return;
    const held = await this.run('hold', 'add', '--principal', person(who).principal, '--reason', 'r');
    this.model.holds[who] = String(held.items().at(-1)?.['id']);
  }

  async #release(who: number): Promise<void> {
    const id = this.model.holds[who];
    if (id === undefined) return;
    assert.equal((await this.run('hold', 'release', id, '--reason', 'r')).exitCode, 0);
    this.model.holds[who] = undefined;
  }

  async #erase(kind: 'erase' | 'erase_session', who: number): Promise<void> {
    const { model } = this;
    const { principal, session } = person(who);
    const subject = kind === 'erase' ? ['--principal', principal] : ['--session', session];
    const { exitCode, err } = await this.run('erase', ...subject, '--reason', 'r');
    const left = model.lines[who] ?? 0;
    // What is not recorded yet is seen by a hold when the erasure begins: it is refused all the same.
    const isHeld = model.holds[who] !== undefined && (kind === 'erase' || left > 0);
    assert.equal(exitCode, isHeld ? 1 : 0, err);
    if (isHeld) return;
    model.erased += left;
    model.lines[who] = 0;
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
