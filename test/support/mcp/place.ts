/** Where a test of capture happens: a directory of its own, and a receiver in the place of the service. */
import type { TestContext } from 'node:test';
import { workplace, type Workplace } from './host.ts';
import { Receiver } from './receiver.ts';

export interface Place {
  readonly place: Workplace;
  readonly receiver: Receiver;
}

/** Both are gone after the test. */
export async function openPlace(context: TestContext): Promise<Place> {
  const place = workplace();
  const receiver = new Receiver();
  await receiver.start();
  context.after(async () => {
    await receiver.stop();
    place.remove();
  });
  return { place, receiver };
}
