/** Step respond: alerts become deliveries and kills; the kill switch is served and kept in order. */
import { TOPICS } from '../../schemas/topics.ts';
import type { BusConsumer } from '../platform/bus/port.ts';
import { readSecret } from '../platform/config/secrets.ts';
import { registerApprovalRoutes } from '../platform/approvals/routes.ts';
import { openControls, type Controls } from '../platform/controls/open.ts';
import { registerControlReadRoutes, registerControlWriteRoutes } from '../platform/controls/routes.ts';
import type { RunningStep, StartStep, StepContext, StepHealth } from '../platform/step.ts';
import { startDeliveries, type Deliveries } from './delivery.ts';
import { EXPIRY_PARTITION, recordExpired } from './expiry.ts';
import { startHousekeeping, type Chore } from './housekeeping.ts';
import { createAlertLoop, SYSTEM_ACTOR } from './loop.ts';
import { createRespondMetrics } from './metrics.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { sendWebhook, type WebhookDestination } from './webhook.ts';

export { sendTestDelivery } from './webhook.ts';

export const RESPOND_GROUP = 'tripline-respond';
/** Longer than topic alerts keeps an alert: one that is read again finds its entry. */
const KEEP_FINISHED_MS = 31 * 86_400_000;
const RECONCILE_AGE_MS = 30_000;
const MINUTE_MS = 60_000;

/** Starts the step: control routes, consumer group `tripline-respond`, deliveries, housekeeping. */
export const startRespond: StartStep = async (context) => {
  const { bus, producer, clock, log } = context;
  const destinations = readDestinations(context);
  const controls = await openControls(context);
  registerControlReadRoutes(context, controls);
  registerControlWriteRoutes(context, controls.issuer);
  registerApprovalRoutes(context, controls);
  const outbox = createOutbox(bus, producer);
  const metrics = createRespondMetrics(context.metrics);
  const deliveries = startDeliveries({
    outbox,
    destinations,
    sendOnce: (destination, message, nowMs) => sendWebhook(destination, message, { nowMs }),
    clock,
    random: () => Buffer.from(context.randomBytes(4)).readUInt32BE() / 2 ** 32,
    metrics,
    log,
  });
  const housekeeping = startHousekeeping(choresOf(context, { controls, outbox, deliveries }), context);
  const unsubscribe = controls.board.subscribe(({ kind }) => {
    if (kind === 'expired') housekeeping.request('expiries');
  });
  const onBatch = createAlertLoop({
    ...context,
    settings: {
      destinations: context.config.respond.destinations,
      allowRuleKills: context.config.respond.allowRuleKills,
    },
    issuer: controls.issuer,
    outbox,
    metrics,
    onQueued: () => deliveries.wake(),
  });
  const consumer = await bus.consume({
    group: RESPOND_GROUP,
    topics: [TOPICS.alerts.name],
    onAssigned: async ({ partition }) => {
      // What the last owner of the partition wrote comes first: an alert that it delivered is not sent again.
      await outbox.catchUp();
      deliveries.own(partition);
      if (partition === EXPIRY_PARTITION) for (const name of CHORES) housekeeping.request(name);
      return undefined;
    },
    onRevoked: ({ partition }) => deliveries.disown(partition),
    onBatch,
    onError: (error) => log.warn({ err: error }, 'reading topic alerts'),
  });
  return running({ consumer, deliveries, controls }, async () => {
    await consumer.stop();
    unsubscribe();
    await housekeeping.stop();
    await deliveries.stop();
    await controls.close();
  });
};

/** Secrets are read at start: a file that is missing stops the start, not the first alert. Throws config_invalid. */
function readDestinations({ config }: StepContext): readonly WebhookDestination[] {
  return config.respond.destinations.map((destination, index) => ({
    name: destination.name,
    url: destination.url,
    allowPrivate: destination.allowPrivate,
    timeoutMs: destination.timeoutMs,
    secret: readSecret(destination.secret, `respond.destinations[${index}].secret`),
  }));
}

interface Parts {
  readonly controls: Controls;
  readonly outbox: Outbox;
  readonly deliveries: Deliveries;
}

const CHORES = ['expiries', 'reconcile', 'prune'] as const;

/** Done by the owner of one partition of topic alerts, so that of several processes one does them. */
function choresOf(context: StepContext, { controls, outbox, deliveries }: Parts): readonly Chore[] {
  const { clock, audit } = context;
  const { board, issuer } = controls;
  const runs = {
    expiries: () => recordExpired({ board, outbox, audit, clock, actor: SYSTEM_ACTOR }),
    reconcile: () => issuer.reconcile(RECONCILE_AGE_MS),
    prune: () => outbox.prune(clock.nowMs() - KEEP_FINISHED_MS, (partition) => deliveries.owns(partition)),
  };
  const everyMs = { expiries: MINUTE_MS, reconcile: 10 * MINUTE_MS, prune: 10 * MINUTE_MS };
  return CHORES.map((name) => ({
    name,
    everyMs: everyMs[name],
    run: () => (deliveries.owns(EXPIRY_PARTITION) ? runs[name]() : Promise.resolve()),
  }));
}

function running(
  parts: { readonly consumer: BusConsumer; readonly deliveries: Deliveries; readonly controls: Controls },
  stop: () => Promise<void>,
): RunningStep {
  let stopping: Promise<void> | undefined;
  return {
    name: 'respond',
    health: (): StepHealth => {
      const disabled = parts.deliveries.disabled().size;
      const partitions = parts.consumer.assignment().length;
      const controls = parts.controls.board.inForce().length;
      const gone = disabled === 0 ? '' : `, ${disabled} destinations gone`;
      return {
        ready: stopping === undefined,
        detail: `${partitions} partitions, ${controls} controls in force${gone}`,
      };
    },
    stop: () => (stopping ??= stop()),
  };
}
