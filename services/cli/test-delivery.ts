/** A test alert to one destination of the configuration. */
import { randomBytes } from 'node:crypto';
import type { DestinationConfig } from '../../schemas/config/v1.ts';
import { readSecret } from '../platform/config/secrets.ts';
import { sendTestDelivery } from '../respond/main.ts';

/** Whether the endpoint took it, and what it said. */
export async function deliverTest(
  destination: DestinationConfig,
): Promise<{ delivered: boolean; detail: string }> {
  const secret = readSecret(destination.secret, `respond.destinations.${destination.name}.secret`);
  return await sendTestDelivery(
    { ...destination, secret },
    { nowMs: Date.now(), id: randomBytes(8).toString('hex') },
  );
}
