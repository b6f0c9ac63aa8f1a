/** Names of logs. One log = (tenant, topic, partition) of a deployment. */
import { concatBytes, domain, toHex, utf8, type Sha256 } from './bytes.ts';

export interface LogName {
  readonly deployment: string;
  readonly tenant: string;
  readonly topic: string;
  readonly partition: number;
}

/** `<deployment>/<hex of the first 16 bytes of SHA-256(tenant)>/<topic>/<partition>` */
export function logOrigin(name: LogName, sha256: Sha256): string {
  const tenantHash = toHex(sha256(utf8(name.tenant)).subarray(0, 16));
  return `${name.deployment}/${tenantHash}/${name.topic}/${name.partition}`;
}

/** SHA-256 of the origin, 32 bytes. */
export function logId(origin: string, sha256: Sha256): Uint8Array {
  return sha256(utf8(origin));
}

const ORIGIN_DOMAIN = domain('tripline/origin/v1');

/** What stands as the leaf hash before index 0: SHA-256("tripline/origin/v1\0" || origin). */
export function originLeafHash(origin: string, sha256: Sha256): Uint8Array {
  return sha256(concatBytes([ORIGIN_DOMAIN, utf8(origin)]));
}

/** Origin of the root log: one a deployment. No log of a tenant has an origin of two parts. */
export function rootOrigin(deployment: string): string {
  return `${deployment}/root`;
}

/** The origin as the name of a note key, which may hold neither spaces nor plus: those are percent-encoded, as is the percent sign. */
export function noteNameOf(origin: string): string {
  return origin.replaceAll(/[\p{White_Space}+%]/gu, (letter) => encodeURIComponent(letter));
}
