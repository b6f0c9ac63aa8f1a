import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { brokerMissing } from '../../support/kafka/broker.ts';
import {
  openClusterStore,
  startBackends,
  writeClusterConfig,
  type Backends,
} from '../../support/scenario/cluster.ts';
import { STORY_RULES } from '../../support/scenario/rules.ts';
import { killAll, up } from '../../support/scenario/tripline.ts';
import { repairs } from './repairs.ts';

const missing = await brokerMissing();
const NAME = 'a repair over Kafka and ClickHouse-HTTP';
if (missing === undefined) describe(NAME, repaired);
else test(NAME, { skip: missing }, () => undefined);

function repaired(): void {
  const root = mkdtempSync(join(tmpdir(), 'tripline-repair-'));
  const [dataDir, configFile] = [join(root, 'data'), join(root, 'tripline.yaml')];
  let backends: Backends;
  before(async () => {
    backends = await startBackends(root);
    writeClusterConfig(configFile, backends, [], { rules: STORY_RULES });
  });
  after(async () => {
    await killAll();
    await backends.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });
  repairs(() => ({
    dataDir,
    env: { TRIPLINE_DATA_DIR: dataDir, TRIPLINE_CONFIG: configFile },
    start: () => up({ dataDir, configFile, logFile: join(root, 'service.log') }),
    openStore: () => openClusterStore(backends),
  }));
}
