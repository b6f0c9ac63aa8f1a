/** Controls in a process without step respond: hosts and analysts need one URL. */
import { registerControlForwarding } from '../platform/controls/forward.ts';
import { openControlReader } from '../platform/controls/open.ts';
import { registerControlReadRoutes } from '../platform/controls/routes.ts';
import type { StepContext } from '../platform/step.ts';

/**
 * Serves GET /v1/controls and its stream from the topic, and passes changes on to respond.url. It needs control.pub of
 * the process that runs respond: throws config_invalid without it.
 */
export async function registerControlReader(
  context: StepContext,
  closers: (() => Promise<void> | void)[],
): Promise<void> {
  const controls = await openControlReader(context);
  closers.push(() => controls.close());
  registerControlReadRoutes(context, controls);
  registerControlForwarding(context, context.config.respond.url);
}
