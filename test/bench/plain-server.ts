/** Baseline of ingest: takes NDJSON over HTTP, parses each line, appends the body to a file, fsyncs, answers 202. argv: file. */
import { open } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

const file = await open(process.argv[2] ?? '', 'a');

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const server = createServer((incoming, answer) => {
  void (async () => {
    const body = await bodyOf(incoming);
    let lines = 0;
    for (const line of body.toString().split('\n')) if (line !== '' && JSON.parse(line) !== null) lines += 1;
    await file.write(body);
    await file.datasync();
    answer.writeHead(202).end(JSON.stringify({ accepted: lines }));
  })();
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
