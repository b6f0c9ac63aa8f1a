/** Time-outs of what asks others, over a run of the collector: it took signals that nobody but `fetch` knew. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock } from '../../../services/platform/clock.ts';
import { within } from '../../../services/platform/http/within.ts';
import { diskFiles } from '../../../services/sign/root/files.ts';
import { s3Files } from '../../../services/sign/root/s3-files.ts';
import { Stamper } from '../../../services/sign/root/stamper.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const TIMEOUT_MS = 800;

describe('somebody who never answers', () => {
  let server: Server;
  let url: string;
  let collecting: NodeJS.Timeout;
  before(async () => {
    server = createServer((request, response) => {
      request.resume();
      // Half the silence begins after the headers.
      if (request.url?.includes('drips') === true)
        response.writeHead(200, { 'content-length': 100 }).write('x');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    collecting = setInterval(collect, 100);
  });
  after(() => {
    clearInterval(collecting);
    server.closeAllConnections();
    server.close();
  });

  const options = { region: 'us-east-1', prefix: '', accessKeyId: 'a', secretAccessKey: 'b' };
  for (const silence of ['hangs', 'drips'])
    it(`is given up at the time-out: ${silence}`, { timeout: 60_000 }, async () => {
      const { signal } = new AbortController();
      const bucket = s3Files(
        { ...options, endpoint: url, bucket: silence, retention: undefined, timeoutMs: TIMEOUT_MS, signal },
        systemClock,
      );
      const stamper = new Stamper({ url: `${url}/${silence}`, timeoutMs: TIMEOUT_MS, signal });
      const nowhere = diskFiles('/nonexistent');
      await Promise.all([
        assert.rejects(bucket.read('checkpoint'), { code: 'copy_unreachable' }),
        assert.rejects(bucket.write('tile/0/000', Buffer.from('x')), { code: 'copy_unreachable' }),
        assert.rejects(stamper.stamp({ note: 'a note\n', size: 1 }, nowhere), {
          code: 'timestamp_unreachable',
        }),
      ]);
    });

  it('is left at once when the service stops', async () => {
    const stop = new AbortController();
    const asked = within({ timeoutMs: 600_000, signal: stop.signal }, (signal) => fetch(url, { signal }));
    stop.abort(new Error('stopping'));
    await assert.rejects(asked, /stopping/);
    await assert.rejects(
      within({ timeoutMs: 600_000, signal: stop.signal }, () => new Promise(() => undefined)),
      /stopping/,
    );
  });
});
