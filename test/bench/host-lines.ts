/** Lines as a real host sends them. */
import { createHash } from 'node:crypto';

/** SHA-256. */
export const hexOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** About 830 bytes, with hashes and ids that no compression shortens, as on a real host. */
export function hostLine(stream: string, seq: number): string {
  const own = hexOf(`${stream} ${seq}`);
  const intent = seq % 2 === 0;
  const words = Array.from(
    { length: 18 },
    (_, at) => `w${Number.parseInt(own.slice(at * 3, at * 3 + 3), 16)}`,
  );
  return JSON.stringify({
    v: 1,
    kind: intent ? 'call.intent' : 'call.result',
    stream,
    seq,
    nonce: hexOf(own).slice(0, 32),
    time: new Date(Date.UTC(2026, 10, 26) + seq * 977).toISOString(),
    session: hexOf(stream).slice(0, 32),
    agent: 'assistant',
    principal: `user-${stream.slice(0, 4)}@example.org`,
    host: 'laptop-17',
    callId: own.slice(0, 32),
    traceId: own.slice(16, 48),
    spanId: own.slice(48),
    server: 'files',
    transport: 'stdio',
    tool: 'read_file',
    class: 'file_read',
    ...(intent
      ? {
          args: { path: `/srv/${words.slice(0, 4).join('/')}`, query: words.join(' ') },
          argsHash: hexOf(`a${own}`),
          argsBytes: 160,
        }
      : {
          outcome: 'ok',
          durationMs: seq * 1.5,
          schemaValid: true,
          trust: 'untrusted',
          result: { content: [{ type: 'text', text: words.join(' ') }] },
          resultHash: hexOf(`r${own}`),
          resultBytes: 170,
        }),
  });
}
