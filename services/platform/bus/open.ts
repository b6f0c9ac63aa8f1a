/** The bus that the configuration asks for. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../../schemas/config/v1.ts';
import type { Clock } from '../clock.ts';
import { readSecret } from '../config/secrets.ts';
import { openEmbeddedBus } from './embedded/bus.ts';
import { openKafkaBus } from './kafka/bus.ts';
import type { KafkaBusOptions } from './kafka/client.ts';
import type { Bus } from './port.ts';

/** Opens `dataDir`/bus, or connects to Kafka. Throws data_dir_locked or bus_unavailable. */
export async function openBus(config: Config, dataDir: string, clock: Clock, log: Logger): Promise<Bus> {
  switch (config.bus.kind) {
    case 'embedded':
      return openEmbeddedBus({
        dir: join(dataDir, 'bus'),
        clock,
        log,
        maxQueuedBytes: config.bus.maxQueuedBytes,
      });
    case 'kafka': {
      const { brokers, namePrefix, replicationFactor, maxQueuedBytes, ssl, sessionTimeoutMs } = config.bus;
      return openKafkaBus({
        brokers,
        namePrefix,
        replicationFactor,
        maxQueuedBytes,
        ssl,
        sessionTimeoutMs,
        clientId: `tripline-${config.deployment}-${hostname()}`,
        ...saslOf(config.bus.sasl),
        clock,
        log,
      });
    }
  }
}

type KafkaConfig = Extract<Config['bus'], { kind: 'kafka' }>;

function saslOf(sasl: KafkaConfig['sasl']): Pick<KafkaBusOptions, 'sasl'> {
  if (sasl === undefined) return {};
  const password = readSecret(sasl.password, 'bus.sasl.password');
  return { sasl: { mechanism: sasl.mechanism, username: sasl.username, password } };
}
