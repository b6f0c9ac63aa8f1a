import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { STEPS } from '../../../schemas/config/v1.ts';
import { ApiClient, tokenOf } from '../../../services/cli/client.ts';
import { startService, type Service } from '../../../services/cli/service.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { createLogger } from '../../../services/platform/telemetry/log.ts';
import { filesHolding, linesOf, person } from '../../support/erasure/people.ts';
import { eventually, openPlace, startIn, tripline, type Place } from '../cli/harness.ts';

const DAY_MS = 86_400_000;
const KEPT_FOR_MS = 20_000;

/** Keeps what was said for 20 s. */
function startForgetful(place: Place): Promise<Service> {
  const config = loadConfig({
    file: undefined,
    env: place.env,
    overrides: [
      { path: ['http', 'port'], value: 0 },
      { path: ['retention', 'payloadDays'], value: KEPT_FOR_MS / DAY_MS },
      { path: ['retention', 'checkEveryMs'], value: 1000 },
    ],
  });
  return startService({ config, steps: STEPS, log: createLogger({ level: 'silent' }), announce: true });
}

describe('payload retention', () => {
  let place: Place;
  let service: Service;
  const [held, old, young] = [person(1), person(2), person(3)];
  const run = (...argv: string[]) => tripline(place.env, [...argv, '--json']);
  const report = async () => (await run('verify')).items().at(-1) ?? {};
  const send = (lines: readonly string[]) =>
    new ApiClient({ url: service.url, token: tokenOf(place.env) }, AbortSignal.timeout(60_000)).postLines(
      lines,
    );
  before(async () => {
    place = await openPlace();
    service = await startIn(place);
  });
  after(async () => {
    await service.stop();
    await place.remove();
  });

  it('erases what is old and not held, as an ERASURE of the service itself', async () => {
    await send([...linesOf(held), ...linesOf(old)]);
    assert.equal((await run('hold', 'add', '--session', held.session, '--reason', 'lawsuit')).exitCode, 0);
    await service.stop();
    await new Promise((resolve) => setTimeout(resolve, KEPT_FOR_MS));
    service = await startForgetful(place);
    await send(linesOf(young));
    const dir = join(place.dir, 'data');
    const found = await eventually(
      async () => ({ report: await report(), files: filesHolding(dir, [old.said]) }),
      (answer) => answer.report['erased'] === 2 && answer.files.length === 0,
    );
    const { verdict, erased } = found.report;
    assert.deepEqual({ verdict, erased, files: found.files }, { verdict: 'verified', erased: 2, files: [] });
    assert.equal((await run('session', held.session)).exitCode, 0);
    assert.equal((await run('session', old.session)).exitCode, 1);
  });
});
