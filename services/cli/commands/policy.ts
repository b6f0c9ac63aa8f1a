/** policy check, policy test: a host's policy looked at, and held against what is on record. */
import { readFileSync } from 'node:fs';
import { classify } from '../../../detectors/classify/index.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { eventId, type Event } from '../../../schemas/event/v1.ts';
import { decidePolicy, type PolicyDecision, type PolicyQuestion } from '../../../schemas/policy/decide.ts';
import { isControlled } from '../../capture/message-observer.ts';
import { faultText, readPolicy, type PolicyReading } from '../../capture/policy/read.ts';
import type { CommandContext } from '../command.ts';
import { readEvents } from '../event-file.ts';
import { EXIT, visible } from '../output.ts';
import { policyWarnings } from '../policy-lint.ts';

function readFile(file: string): PolicyReading {
  try {
    return readPolicy(readFileSync(file));
  } catch (cause) {
    throw new TriplineError('usage', `${file} cannot be read`, { cause });
  }
}

/** Prints every fault and warning with its line. Exit 1 where the file has a fault or, strict, a warning. */
export function checkPolicy(
  { output }: CommandContext,
  file: string,
  { strict }: { readonly strict: boolean },
): number {
  const reading = readFile(file);
  if (reading.kind === 'faults') {
    for (const fault of reading.faults)
      output.item({ level: 'fault', ...fault }, () => `FAULT ${faultText(file, fault)}`);
    return EXIT.failed;
  }
  const { policy, hash, lineOf } = reading;
  const warnings = policyWarnings(policy);
  for (const { code, at, message } of warnings) {
    const line = lineOf(at);
    output.item(
      { level: 'warning', code, line, message },
      () => `WARN  ${file}:${line}: ${message} [${code}]`,
    );
  }
  const { id, version, mode } = policy;
  output.item(
    { policy: id, version, mode, hash, warnings: warnings.length },
    () => `ok    ${id} version ${version}, ${mode}, ${hash}`,
  );
  return strict && warnings.length > 0 ? EXIT.failed : EXIT.done;
}

export interface TestPolicyOptions {
  readonly file: string;
  readonly events: string;
  readonly environment: string | undefined;
  readonly task: string | undefined;
}

/** Prints each recorded call that the policy would not have let go, whatever its mode, and how many there were last. */
export function testPolicy(
  { output }: CommandContext,
  { file, events, environment, task }: TestPolicyOptions,
): number {
  const reading = readFile(file);
  if (reading.kind === 'faults') {
    const faults = reading.faults.map((fault) => faultText(file, fault)).join('\n  ');
    throw new TriplineError('host_policy_invalid', `the policy has faults:\n  ${faults}`);
  }
  const counts: Record<PolicyDecision['effect'], number> = { allow: 0, refuse: 0, approve: 0 };
  const rules: Record<string, number> = {};
  for (const event of readEvents(events)) {
    const question = questionOf(event);
    if (question === undefined) continue;
    const decision = decidePolicy(reading.policy, { ...question, environment, task });
    counts[decision.effect] += 1;
    rules[decision.rule] = (rules[decision.rule] ?? 0) + 1;
    if (decision.effect === 'allow') continue;
    const { server, tool, agent, class: toolClass } = question;
    const id = eventId(event.stream, event.seq);
    output.item(
      {
        id,
        session: event.session,
        agent,
        server,
        tool,
        class: toolClass,
        effect: decision.effect,
        rule: decision.rule,
      },
      () =>
        `${decision.effect.padEnd(8)} ${visible(agent)}  ${visible(`${server ?? ''}/${tool}`)}  ${toolClass}  ${decision.rule}  ${id}`,
    );
  }
  output.item(
    { ...counts, rules },
    () => `${counts.allow} allowed, ${counts.refuse} refused, ${counts.approve} to be approved`,
  );
  return EXIT.done;
}

/** Method of a read that a client asks of a server. */
function readMethod({ kind, mcp, method }: Event): string | undefined {
  return kind === 'mcp.request' && mcp?.sender !== 'server' && isControlled(method) ? method : undefined;
}

/** A call or a read of the record as a host would have asked about it; undefined for every other event. */
function questionOf(event: Event): PolicyQuestion | undefined {
  const isCall = event.kind === 'call.intent';
  const tool = isCall ? event.tool : readMethod(event);
  if (tool === undefined) return undefined;
  const { agent, server, annotations, labels = [] } = event;
  return {
    kind: isCall ? 'call' : 'read',
    agent,
    server,
    tool,
    class: event.class ?? classify({ server, tool, annotations }, []).class,
    ambiguous: labels.includes('ambiguous_json'),
    labels: () => labels,
  };
}
