/** Why somebody cannot grant a request, apart from their role: one answer for the listing and for the attempt. Pure. */
import type { ApprovalRequest } from './requests.ts';

export const GRANT_OBSTACLES = ['arguments_altered', 'principal_unknown', 'four_eyes'] as const;
export type GrantObstacle = (typeof GRANT_OBSTACLES)[number];

/** In words; what `TriplineError` says of it. */
export const OBSTACLE_TEXTS: Readonly<Record<GrantObstacle, string>> = {
  arguments_altered: 'the arguments on record are not those that the host hashed',
  principal_unknown: 'four eyes are asked for, and the request does not say whose the first are',
  four_eyes: 'four eyes are asked for: somebody else must grant it',
};

/** undefined where this principal (id of an API key) may grant it. */
export function grantObstacle(
  request: Pick<ApprovalRequest, 'isAltered' | 'fourEyes' | 'principal'>,
  principalId: string,
): GrantObstacle | undefined {
  if (request.isAltered) return 'arguments_altered';
  if (!request.fourEyes) return undefined;
  if (request.principal === undefined) return 'principal_unknown';
  return request.principal === principalId ? 'four_eyes' : undefined;
}
