/** A thread that lets lines go on as fast as it may, until its memory says that it is over. */
import { parentPort, workerData } from 'node:worker_threads';
import { LineAppender, type JournalPlace } from '../../../services/capture/recorder/line-appender.ts';
import { CELL, processMs, sharedLinesIn } from '../../../services/capture/recorder/shared-lines.ts';

export interface AppendingThreadData {
  readonly memory: SharedArrayBuffer;
  readonly place: JournalPlace;
  /** A cell that is 1 when it is over. */
  readonly over: SharedArrayBuffer;
}

const { memory, place, over } = workerData as AppendingThreadData;
const shared = sharedLinesIn(memory);
const appender = new LineAppender({
  shared,
  nowMs: () => Date.now(),
  monotonicMs: processMs,
  wake: () => undefined,
});
appender.open(place);
let kept = 0;
const line = (number: number): Uint8Array =>
  Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: number, method: 'tools/call', params: {} }));
while (Atomics.load(new Int32Array(over), 0) === 0) if (appender.keeps('to_server', line(kept))) kept++;
parentPort?.postMessage({ kept, added: Atomics.load(shared.cells, CELL.added) });
