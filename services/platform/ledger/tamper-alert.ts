/** What is found to be wrong with the ledger, as an alert: it pages as those of rules do, once a finding. */
import { encodeEventRecord, partitionFor, recordKey } from '../../../schemas/bus/record.ts';
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { zName } from '../../../schemas/event/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { alertEntity, alertId, alertLine } from '../../../detectors/engine/alert.ts';
import { toHex, utf8 } from '../../evidence/bytes.ts';
import type { Bus, BusProducer } from '../bus/port.ts';
import { sha256 } from './crypto.ts';
import type { FaultPlace } from './health.ts';

export const TAMPER_RULE_ID = 'tripline.ledger-tampered';
/** Its version takes the place of a semantic hash: 32 zero bytes but the last. */
const TAMPER_RULE_HASH = `${'0'.repeat(63)}1`;
/** Who it is told of, where the fault names no session. */
const NOBODY = 'ledger';

export interface LedgerFault extends FaultPlace {
  readonly tenant: string;
  /** Of the last sound thing before it: an alert has no wall clock, so that a second publication is the same bytes. */
  readonly afterMs: number;
}

/** The alert of a fault; equal for equal faults, whenever and by whomever it is found. */
export function tamperAlert(fault: LedgerFault): AlertBody {
  const { tenant, code, log, topic, partition, offset } = fault;
  const index = fault.index === null ? '' : String(fault.index);
  const key = { code, log: log.slice(0, 1024), index };
  const at = toHex(sha256(utf8(`${log}\0${index}`))).slice(0, 48);
  const session = zName.safeParse(fault.session).success ? String(fault.session) : NOBODY;
  const place = index === '' ? key.log : `${key.log} index ${index}`;
  const detail = fault.detail === null ? '' : `, ${fault.detail.slice(0, 256)}`;
  return {
    id: alertId([tenant, TAMPER_RULE_ID, TAMPER_RULE_HASH, JSON.stringify(Object.values(key)), at], sha256),
    ruleId: TAMPER_RULE_ID,
    ruleHash: TAMPER_RULE_HASH,
    title: 'The ledger is not what was signed',
    level: 'critical',
    mode: 'alert',
    tags: ['evidence'],
    scope: 'tenant',
    key,
    timeBasis: 'append',
    calls: [
      {
        step: 'fault',
        eventId: `ledger-${at}`,
        topic: topic ?? '',
        partition: partition ?? 0,
        offset: offset ?? 0,
        line: 0,
        time: new Date(fault.afterMs).toISOString(),
        session,
        agent: NOBODY,
      },
    ],
    summary: `${code}: ${place}${detail}. Keep everything as it is and run \`tripline verify\`.${repairHint(code)}`,
  };
}

/** What is missing may still be on the bus; what was altered is evidence, and stays. */
function repairHint(code: string): string {
  if (!code.endsWith('_missing')) return '';
  return ' Rows that the bus still holds come back with `tripline ledger repair` (try --dry-run).';
}

/** Resolves when the alert is durable. */
export async function publishTamperAlert(bus: Bus, producer: BusProducer, fault: LedgerFault): Promise<void> {
  const topic = TOPICS.alerts.name;
  const body = tamperAlert(fault);
  const line = alertLine(body);
  const message = encodeEventRecord({
    tenant: fault.tenant,
    session: alertEntity(body),
    stream: line.stream,
    firstSeq: 0,
    lines: [utf8(JSON.stringify(line))],
  });
  const key = message.key ?? recordKey(fault.tenant, alertEntity(body));
  await producer.send(topic, partitionFor(key, bus.partitionCount(topic)), [message]);
}
