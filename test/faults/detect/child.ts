/** A process that feeds tool calls and runs detect on one bus directory until it is killed. Arguments: directory. */
import { setTimeout as sleep } from 'node:timers/promises';
import { TOPICS } from '../../../schemas/topics.ts';
import { configOf, openBus, runDetect, sendCall, type CallSpec } from '../../integration/detect/harness.ts';

const TOOLS = [
  'web_search',
  'read_secret',
  'http_post',
  'delete_file',
  'noop',
  'write_file',
  'read_file',
  'fetch_url',
];
const SESSIONS = 24;

/** The n-th call of the load: the same in every life. */
function callAt(n: number): CallSpec {
  const session = `s${(n * 7) % SESSIONS}`;
  const tool = TOOLS[(n * 2_654_435_761) % TOOLS.length] ?? 'noop';
  const args = tool.endsWith('_file')
    ? { path: `p${n % 5}` }
    : tool === 'http_post'
      ? { url: 'https://out.example/' }
      : {};
  return { session, seq: n, tool, args };
}

const dir = process.argv[2] ?? '';
const bus = await openBus(dir);
const detectConfig = { snapshotEveryEvents: 20, snapshotEveryMs: 50 };
await runDetect(bus, configOf({ detect: detectConfig }));
const producer = await bus.producer();
const offsets = await bus.offsets(TOPICS.toolcalls.name);
let n = offsets.reduce((sum, entry) => sum + entry.latest, 0);
process.stdout.write('ready\n');
for (;;) {
  await Promise.all([
    sendCall(producer, callAt(n)),
    sendCall(producer, callAt(n + 1)),
    sendCall(producer, callAt(n + 2)),
  ]);
  n += 3;
  // One byte a turn: whoever kills us counts work, not time, which a busy machine gives little of.
  process.stdout.write('.');
  await sleep(4);
}
