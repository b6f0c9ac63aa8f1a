/** Step respond as a process of its own, to be killed: directory and webhook URL are its arguments. Says `ready` when it reads. */
import type { Store } from '../../../services/platform/store/port.ts';
import { startRespond } from '../../../services/respond/main.ts';
import { openHarness } from '../../integration/respond/harness.ts';
import { SECRET } from '../../integration/respond/receiver.ts';

const [dir = '', url = ''] = process.argv.slice(2);
/** Deliveries do not touch the store; its rows are a view. */
const store: Pick<Store, 'query' | 'insertRows'> = {
  query: () => Promise.resolve([]),
  insertRows: () => Promise.resolve(),
};
const harness = await openHarness({
  dir,
  store: store as Store,
  respond: {
    destinations: [{ name: 'soc', kind: 'webhook', url, secret: { value: SECRET }, allowPrivate: true }],
  },
});
const step = await startRespond(harness.context);
process.stdout.write('ready\n');
process.on('SIGTERM', () => {
  void step
    .stop()
    .then(() => harness.close())
    .then(() => process.exit(0));
});
