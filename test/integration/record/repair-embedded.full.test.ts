import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { pino } from 'pino';
import { openChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { STORY_RULES } from '../../support/scenario/rules.ts';
import { killAll, up } from '../../support/scenario/tripline.ts';
import { repairs } from './repairs.ts';

describe('a repair of the embedded deployment', () => {
  const root = mkdtempSync(join(tmpdir(), 'tripline-repair-'));
  const [dataDir, configFile] = [join(root, 'data'), join(root, 'tripline.json')];
  before(() => writeFileSync(configFile, JSON.stringify({ rules: STORY_RULES })));
  after(async () => {
    await killAll();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });
  repairs(() => ({
    dataDir,
    env: { TRIPLINE_DATA_DIR: dataDir, TRIPLINE_CONFIG: configFile },
    start: () => up({ dataDir, configFile, logFile: join(root, 'service.log') }),
    openStore: () =>
      openChdbStore({
        dir: join(dataDir, 'clickhouse'),
        maxMemoryBytes: 1024 ** 3,
        queryTimeoutMs: 30_000,
        log: pino({ level: 'silent' }),
      }),
  }));
});
