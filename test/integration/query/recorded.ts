/** The door with the step record beside it: what is sent is stored, signed, and can be read. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startRecord } from '../../../services/record/main.ts';
import { openLocalSigner } from '../../../services/sign/main.ts';
import { startService, type Service } from '../http/service.ts';

export async function startRecordedService(): Promise<Service> {
  const service = await startService();
  const dir = join(service.context.dataDir, 'signer');
  mkdirSync(dir, { mode: 0o700 });
  const signer = await openLocalSigner({ dir, clock: service.context.clock });
  const record = await startRecord(service.context, signer);
  return {
    ...service,
    stop: async () => {
      await record.stop();
      await signer.close();
      await service.stop();
    },
  };
}
