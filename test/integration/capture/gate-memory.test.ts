/** What all connections of a gate hold together is bounded: a body that finds no room is refused, and room comes back. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { callOf, gateBefore, JSON_HEADERS, plainServer, send, withBody } from '../../support/mcp/gate.ts';
import { openPlace } from '../../support/mcp/place.ts';

const MIB = 1024 * 1024;
const big = callOf(1, 'echo', { text: 'x'.repeat(700_000) });

/** A request whose body has come but for its last byte. */
async function begun(context: TestContext, url: string) {
  const headers = { ...JSON_HEADERS, 'content-length': String(Buffer.byteLength(big)) };
  const request = http.request(url, { method: 'POST', headers });
  request.on('error', () => undefined);
  context.after(() => request.destroy());
  const answer = once(request, 'response').then(
    ([response]) => (response as http.IncomingMessage).statusCode,
  );
  answer.catch(() => undefined);
  await new Promise<void>((resolve) => void request.write(big.slice(0, -1), () => resolve()));
  return { request, answer, finish: () => request.end(big.slice(-1)) };
}

it(
  'bodies of many connections take no more room than there is, whoever leaves gives his back',
  { timeout: 60_000 },
  async (context) => {
    const reached: number[] = [];
    let answerNow: () => void = () => undefined;
    const direct = await plainServer(
      context,
      withBody(async (body, _request, response) => {
        reached.push(body.length);
        await new Promise<void>((resolve) => {
          answerNow = resolve;
        });
        response.writeHead(200, { 'content-type': 'application/json' });
        const { id } = JSON.parse(body.toString()) as { id: number };
        response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } }));
      }),
    );
    const place = await openPlace(context);
    const gate = await gateBefore(context, place, {
      config: { listen: { maxHeldBytes: MIB }, upstreams: [{ name: 'raw', url: `${direct}/mcp` }] },
    });
    const url = `${gate.url}/raw`;
    /** No JSON: it comes no further than the room that it needs. */
    const probe = async (): Promise<number> =>
      (await send(url, { headers: JSON_HEADERS, body: 'x'.repeat(700_000) })).status;
    const first = await begun(context, url);
    while ((await probe()) !== 503) await sleep(20);
    const refused = await send(url, { headers: JSON_HEADERS, body: big });
    assert.equal(refused.status, 503);
    const { error } = JSON.parse(refused.body.toString()) as { error: { data: unknown } };
    assert.deepEqual(error.data, { code: 'gate_busy', retryable: true });
    // A small call finds room beside it.
    const small = send(url, { headers: JSON_HEADERS, body: callOf(2) });
    while (reached.length < 1) await sleep(10);
    answerNow();
    assert.equal((await small).status, 200);
    // Who leaves gives his room back, and so does a body that is sent, though its answer is not there yet.
    first.request.destroy();
    while ((await probe()) === 503) await sleep(20);
    const second = await begun(context, url);
    second.finish();
    while (reached.length < 2) await sleep(10);
    const answerSecond = answerNow;
    const third = await begun(context, url);
    third.finish();
    while (reached.length < 3) await sleep(10);
    answerNow();
    answerSecond();
    assert.deepEqual([await second.answer, await third.answer], [200, 200]);
    const { receiver } = place;
    await receiver.until(() => receiver.of('call.result').length === 3);
    assert.deepEqual(
      receiver.of('call.result').map(({ outcome }) => outcome),
      ['ok', 'ok', 'ok'],
    );
  },
);
