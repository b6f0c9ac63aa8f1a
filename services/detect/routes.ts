/** POST /v1/rules/reload: rules are read again, in this process. */
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { ALL_TENANTS, principalOf } from '../platform/http/principal.ts';
import type { StepContext } from '../platform/step.ts';
import type { Reloads } from './reload.ts';

/** Nothing can be said with it, but a client may have to send a body. */
const zNothing = z.strictObject({}).nullish();
const PATH = '/v1/rules/reload';

export function registerReload({ http, audit }: Pick<StepContext, 'http' | 'audit'>, detect: Reloads): void {
  http.post(
    PATH,
    {
      config: { roles: ['admin'] },
      schema: {
        summary: 'Read the rules again',
        description:
          'An audited change in this process; an admin of all tenants only. States of unchanged rules stay.',
        tags: ['rules'],
        body: zNothing,
      },
    },
    async (request) => {
      const { id, role, tenant } = principalOf(request);
      // Rules hold for all tenants: an administrator of one does not change what the others are watched by.
      if (tenant !== ALL_TENANTS) {
        const attempt = { action: 'rules.load', actor: id, role, target: PATH } as const;
        await audit.record(tenant, { ...attempt, outcome: 'denied' });
        throw new TriplineError('auth_forbidden');
      }
      return await detect.reload({ actor: id, role, target: PATH });
    },
  );
}
