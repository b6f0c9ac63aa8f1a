/** A TCP proxy in front of a broker that resets or tears its connections on demand. It rewrites nothing: the broker advertises the proxy's port. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface ResettingProxy {
  readonly port: number;
  /** Ends every connection with RST; answers how many. */
  reset(): number;
  /** Ends every connection in the midst of the next answer that it carries; what it returns spares those that carried none. */
  tear(): () => void;
  close(): Promise<void>;
}

/** Its length and the beginning of what the length counts. */
const TORN_BYTES = 7;

/** Listens on `port` of loopback and joins each connection to `targetPort`. */
export async function startProxy(port: number, targetPort: number): Promise<ResettingProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const toTear = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        pairs.delete(pair);
        toTear.delete(upstream);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.pipe(client);
    upstream.prependListener('data', (bytes: Buffer) => {
      if (!toTear.delete(upstream)) return;
      upstream.unpipe(client);
      client.end(bytes.subarray(0, TORN_BYTES));
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port,
    reset: () => {
      const count = pairs.size;
      for (const [client, upstream] of pairs) {
        client.resetAndDestroy();
        upstream.resetAndDestroy();
      }
      return count;
    },
    tear: () => {
      for (const [, upstream] of pairs) toTear.add(upstream);
      return () => toTear.clear();
    },
    close: async () => {
      server.close();
      for (const [client, upstream] of pairs) {
        client.destroy();
        upstream.destroy();
      }
      await once(server, 'close');
    },
  };
}
