import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rmSync } from 'node:fs';
import { after } from 'node:test';
import { systemClock } from '../../../services/platform/clock.ts';
import { openEmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import { contractSuite } from './contract.ts';

const directories: string[] = [];
after(() => {
  for (const dir of directories) rmSync(dir, { recursive: true, force: true });
});

contractSuite('embedded bus', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tripline-bus-'));
  directories.push(dir);
  const open = () => openEmbeddedBus({ dir, clock: systemClock, maxQueuedBytes: 64 * 1024 * 1024 });
  return { open, reopen: open, patienceMs: 5000 };
});
