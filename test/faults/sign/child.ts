/** A root log that kills its own process at one write: `child.ts DIR WRITE before|after`. */
import { diskFiles } from '../../../services/sign/root/files.ts';
import { commitBatch, openRoot, openSigner, rootDir } from '../../support/tlog/root-log.ts';

const [dir = '', number = '', when = ''] = process.argv.slice(2);
const disk = diskFiles(rootDir(dir));
let writes = 0;
const die = (): void => void process.kill(process.pid, 'SIGKILL');

const signer = await openSigner(dir);
await commitBatch(signer, 60);
await openRoot(dir, signer, {
  files: {
    ...disk,
    write: async (name, bytes) => {
      writes += 1;
      if (writes === Number(number) && when === 'before') die();
      await disk.write(name, bytes);
      if (writes === Number(number)) die();
    },
  },
});
