/** replay against a service that is busy at first, and replay that is interrupted. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { openPlace, tripline, type Place } from './harness.ts';

const LINES = 1500; // More than one request.

interface Seen {
  readonly key: string | undefined;
  readonly lines: number;
}

async function linesOf(request: IncomingMessage): Promise<number> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  return text.trimEnd().split('\n').length;
}

suite('replay', () => {
  const seen: Seen[] = [];
  let place: Place;
  let server: Server;
  let env: Readonly<Record<string, string>>;
  let file = '';
  let refuse = 1;
  let afterRequest = (): void => undefined;
  before(async () => {
    place = await openPlace();
    file = join(place.dir, 'events.ndjson');
    writeFileSync(file, '{"v":1}\n'.repeat(LINES));
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const lines = await linesOf(request);
      const header = request.headers['idempotency-key'];
      seen.push({ key: typeof header === 'string' ? header : undefined, lines });
      const busy = refuse > 0;
      refuse -= 1;
      const error = { code: 'bus_unavailable', message: 'busy', path: null, retryable: true };
      response.writeHead(busy ? 503 : 202, { 'content-type': 'application/json' });
      response.end(JSON.stringify(busy ? { error } : { accepted: lines, duplicates: 0, rejected: [] }));
      afterRequest();
    };
    server = createServer((request, response) => {
      void answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    env = { ...place.env, TRIPLINE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await place.remove();
  });

  test('a request whose outcome is unknown is sent again under its own key, so that nothing comes twice', async () => {
    const ran = await tripline(env, ['replay', file, '--json']);
    assert.equal(ran.exitCode, 0);
    assert.deepEqual(ran.items().at(-1), { sent: LINES, accepted: LINES, duplicates: 0, rejected: 0 });
    assert.deepEqual(
      seen.map(({ lines }) => lines),
      [1024, 1024, 476],
    );
    const [first, again, second] = seen.map(({ key }) => key);
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(again, first);
    assert.notEqual(second, first);
    await tripline(env, ['replay', file, '--json']);
    assert.ok(!seen.slice(0, 3).some(({ key }) => key === seen.at(-1)?.key));
  });
  test('an interrupted replay has not done its work: 1, with what was sent', async () => {
    const interrupt = new AbortController();
    // The answer is there by then, and the next request waits for its time.
    afterRequest = () => void setTimeout(() => interrupt.abort(), 500);
    const ran = await tripline(env, ['replay', file, '--rate', '500', '--json'], interrupt.signal);
    assert.deepEqual([ran.exitCode, ran.items().at(-1)?.['sent']], [1, 1024]);
  });
});
