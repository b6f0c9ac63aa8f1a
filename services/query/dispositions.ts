/** Dispositions: what people said of alerts. A change is one line of topic audit; what is read is record's table of these lines. */
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { DISPOSITIONS, zDispositionRequest } from '../../schemas/alert/disposition.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { zName } from '../../schemas/event/v1.ts';
import { auditingDenial } from '../platform/audit/denied.ts';
import { principalOf, readableTenant } from '../platform/http/principal.ts';
import type { StepContext } from '../platform/step.ts';
import type { Store } from '../platform/store/port.ts';
import { andAlso, isoOf, whereOf, zTenantQuery, type Where } from './filters.ts';

/** An auditor reads what others decide. */
const WRITERS = ['analyst', 'responder', 'admin'] as const;

const zParams = z.object({ id: zName });
const zAnswer = z.object({
  id: z.string(),
  tenant: z.string(),
  ruleId: z.string(),
  disposition: z.object({ value: z.enum(DISPOSITIONS), reason: z.string(), actor: z.string() }),
});

type DispositionContext = Pick<StepContext, 'audit' | 'http' | 'store'>;

/** POST /v1/alerts/:id/disposition. */
export function registerDisposition(context: DispositionContext): void {
  context.http.withTypeProvider<ZodTypeProvider>().post(
    '/v1/alerts/:id/disposition',
    {
      config: { roles: [...WRITERS] },
      schema: {
        summary: 'Say what an alert was found to be',
        description:
          'Answered once the change is durable in the audit topic; listings show it as soon as it is recorded. The latest one counts, all stay on the ledger.',
        params: zParams,
        querystring: zTenantQuery,
        body: zDispositionRequest,
        response: { 200: zAnswer },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { id } = request.params;
      const { disposition: value, reason } = request.body;
      const change = { action: 'alert.disposition', target: id } as const;
      const asked = await auditingDenial(context.audit, { principal, ...change }, () =>
        readableTenant(principal, request.query.tenant),
      );
      const alert = await findAlert(context.store, asked, id);
      await context.audit.record(alert.tenant, {
        ...change,
        actor: principal.id,
        role: principal.role,
        reason,
        outcome: 'ok',
        details: { disposition: value, rule: alert.rule_id },
      });
      const { tenant, rule_id: ruleId } = alert;
      return { id, tenant, ruleId, disposition: { value, reason, actor: principal.id } };
    },
  );
}

interface AlertRow {
  readonly tenant: string;
  readonly rule_id: string;
}

/** Throws not_found: for this reader there is no such alert, or it is not in the store yet. */
async function findAlert(store: Store, tenant: string, id: string): Promise<AlertRow> {
  const where = whereOf(tenant, { alert_id: id });
  const [row] = await store.query<AlertRow>(
    `SELECT tenant, rule_id FROM alerts WHERE ${where.sql} ORDER BY append_time LIMIT 1`,
    { params: where.params },
  );
  if (row === undefined) throw new TriplineError('not_found');
  return row;
}

export interface DispositionItem {
  readonly value: string;
  readonly reason: string;
  /** Id of the API key. */
  readonly actor: string;
  /** RFC 3339. */
  readonly time: string;
}

interface DispositionRow extends Omit<DispositionItem, 'time'> {
  readonly tenant: string;
  readonly alert_id: string;
  readonly time_ms: string;
}

type AlertName = Pick<DispositionRow, 'alert_id' | 'tenant'>;

/** Key of a map by alert: the same id may stand in two tenants only where somebody forged it, and then they are two. */
export const alertName = (row: AlertName): string => `${row.tenant}\0${row.alert_id}`;

/** Ids travel in the URL to a ClickHouse server: so many keep it short of the 8 kB that proxies take. */
const MAX_ALERTS_PER_QUERY = 100;

/** The latest disposition of each of the alerts that has one, by alertName. */
export async function latestDispositions(
  store: Store,
  tenant: string,
  alerts: readonly AlertName[],
): Promise<ReadonlyMap<string, DispositionItem>> {
  const found = new Map<string, DispositionItem>();
  for (let from = 0; from < alerts.length; from += MAX_ALERTS_PER_QUERY) {
    const ids = alerts.slice(from, from + MAX_ALERTS_PER_QUERY).map((row) => row.alert_id);
    for (const row of await dispositionRows(store, tenant, ids)) {
      const { value, reason, actor, time_ms: ms } = row;
      found.set(alertName(row), { value, reason, actor, time: isoOf(ms) });
    }
  }
  return found;
}

async function dispositionRows(
  store: Store,
  tenant: string,
  alerts: readonly string[],
): Promise<DispositionRow[]> {
  const where = andAlso(whereOf(tenant, {}), 'alert_id IN {alerts:Array(String)}', { alerts });
  return await store.query<DispositionRow>(
    `SELECT tenant, alert_id, disposition AS value, reason, actor,
       toString(toUnixTimestamp64Milli(event_time)) AS time_ms
     FROM dispositions WHERE ${where.sql} ORDER BY tenant, alert_id, idx DESC LIMIT 1 BY tenant, alert_id`,
    { params: where.params },
  );
}

/** Narrows a condition over `alerts` to those whose latest disposition is `wanted`; `none`: to those without one. */
export function withDisposition(where: Where, tenant: string, wanted: string): Where {
  const said = `dispositions WHERE ${whereOf(tenant, {}).sql}`;
  if (wanted === 'none')
    return andAlso(where, `(tenant, alert_id) NOT IN (SELECT tenant, alert_id FROM ${said})`, {});
  const latest = `SELECT tenant, alert_id FROM ${said} GROUP BY tenant, alert_id HAVING argMax(disposition, idx) = {disposition:String}`;
  return andAlso(where, `(tenant, alert_id) IN (${latest})`, { disposition: wanted });
}
