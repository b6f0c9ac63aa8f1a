/** Answers of a broker, cut anywhere (Kafka protocol: a big-endian INT32 with the length, then so many bytes). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AnswerCutter, tellWholeAnswers } from '../../../services/platform/bus/kafka/whole-answers.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('bytes of a broker', () => {
  it('are told answer by answer, wherever they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.array(fc.nat(200), { maxLength: 12 }),
        (bodies, cuts) => {
          const answers = bodies.map((body) => {
            const answer = Buffer.alloc(4 + body.length);
            answer.writeInt32BE(body.length);
            answer.set(body, 4);
            return answer.toString('hex');
          });
          const all = hex(answers.join(''));
          const places = [0, ...cuts.filter((cut) => cut < all.length).toSorted((a, b) => a - b), all.length];
          const cutter = new AnswerCutter();
          const told = places.slice(1).flatMap((end, index) => {
            const cut = cutter.push(all.subarray(places[index], end));
            assert.ok(cut.kind === 'answers');
            return cut.answers.map((answer) => answer.toString('hex'));
          });
          assert.deepEqual(told, answers);
        },
      ),
    );
  });

  it('a length below zero or of gigabytes begins no answer', () => {
    for (const bytes of ['ffffffff 00', '7fffffff 00', '20000001'])
      assert.equal(new AnswerCutter().push(hex(bytes)).kind, 'malformed', bytes);
  });
});

describe('a connection to a broker', () => {
  async function told(sent: readonly Buffer[], onData: (bytes: Buffer) => void): Promise<string> {
    const server = createServer((socket) => {
      for (const bytes of sent) socket.write(bytes);
      socket.on('error', () => undefined);
      socket.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    tellWholeAnswers(socket);
    let code = 'none';
    socket.on('error', (error) => (code = 'code' in error ? String(error.code) : 'no code'));
    socket.on('data', onData);
    await new Promise((resolve) => socket.on('close', resolve));
    server.close();
    return code;
  }

  it('tells nothing of an answer that is cut off', async () => {
    const seen: string[] = [];
    const code = await told([hex('00000002 aabb'), hex('00000004 0000')], (bytes) =>
      seen.push(bytes.toString('hex')),
    );
    assert.deepEqual([seen, code], [['00000002aabb'], 'none']);
  });

  it('ends with an error, and not the process, where its reader throws', async () => {
    const code = await told([hex('00000000'), hex('00000000')], () => {
      throw new RangeError('beyond the end');
    });
    assert.equal(code, 'bus_unavailable');
  });
});
