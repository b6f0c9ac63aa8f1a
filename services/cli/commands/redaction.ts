/** redaction check, test, prove, key: what a host keeps off the record, looked at, tried, and shown to be what was done. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { TriplineError } from '../../../schemas/errors.ts';
import { readEventLine } from '../../../schemas/event/read.ts';
import { eventId, type Event } from '../../../schemas/event/v1.ts';
import { zRedaction, type Redaction } from '../../../schemas/redaction/v1.ts';
import { faultText, readDocument } from '../../capture/policy/read.ts';
import { keyedBy, makeRedactionKey, readRedactionKey, type Keyed } from '../../capture/redaction/key.ts';
import { KnownValues } from '../../capture/redaction/known-values.ts';
import { proveRedaction, type Refutation } from '../../capture/redaction/prove.ts';
import { readRedaction } from '../../capture/redaction/read.ts';
import { newBudget, redactBody } from '../../capture/redaction/redact.ts';
import { recordedBody } from '../../capture/redaction/recorded-body.ts';
import { redactionHash, RedactionRules } from '../../capture/redaction/rules.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, visible } from '../output.ts';

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file);
  } catch (cause) {
    throw new TriplineError('usage', `${file} cannot be read`, { cause });
  }
}

/** Prints every fault with its line. Exit 1 where the file has one. */
export function checkRedaction({ output }: CommandContext, file: string): number {
  const reading = readDocument(readBytes(file), zRedaction);
  if (reading.kind === 'faults') {
    for (const fault of reading.faults)
      output.item({ level: 'fault', ...fault }, () => `FAULT ${faultText(file, fault)}`);
    return EXIT.failed;
  }
  const { id, version, rules } = reading.value;
  const hash = redactionHash(reading.value);
  output.item(
    { redaction: id, version, rules: rules.length, hash },
    () => `ok    ${id} version ${version}, rules: ${rules.length}, ${hash}`,
  );
  return EXIT.done;
}

/** Makes the key file of a host. */
export function makeKey({ output }: CommandContext, file: string): number {
  const { keyId } = makeRedactionKey(file);
  output.item(
    { file, keyId },
    () => `${file}: key ${keyId}. Keep it on this host; who has it can try values against digests.`,
  );
  return EXIT.done;
}

export interface TestOptions {
  readonly file: string;
  /** Events, one a line, or one body; `-`: stdin. */
  readonly input: string;
  /** Undefined: a key that nobody keeps. */
  readonly key: string | undefined;
  readonly server: string;
  readonly tool: string | undefined;
  readonly of: 'args' | 'result';
}

interface TestedBody {
  readonly id: string | undefined;
  readonly server: string;
  readonly tool: string | undefined;
  readonly method: string | undefined;
  readonly of: 'args' | 'result';
  readonly body: Buffer;
}

/** Prints each body as it would be on record, with its places; values of earlier bodies are known in later ones. */
export function testRedaction({ output }: CommandContext, options: TestOptions): number {
  const policy = readRedaction(options.file, readBytes(options.file));
  const keyed = options.key === undefined ? keyedBy(randomBytes(32)) : readRedactionKey(options.key);
  const rules = new RedactionRules(policy);
  const session = new KnownValues(keyed, '');
  for (const { id, body, ...subject } of bodiesOf(options)) {
    const budget = newBudget();
    const known = (text: string) =>
      session.find(text, budget)?.map((range) => ({ ...range, isBefore: true }));
    const own = new KnownValues(keyed, '');
    const result = redactBody(body, { selected: rules.select(subject), keyed, known }, own);
    if (policy.follow) for (const value of own.values) session.add(value);
    const about = { ...(id === undefined ? {} : { id }), of: subject.of, outcome: result.kind };
    switch (result.kind) {
      case 'same':
        output.item(about, () => `same      ${subject.of} ${id ?? ''}`);
        break;
      case 'left_out':
        output.item({ ...about, why: result.why }, () => `left out  ${subject.of} ${id ?? ''} ${result.why}`);
        break;
      case 'changed':
        output.item({ ...about, body: JSON.parse(result.json) as unknown, places: result.places }, () =>
          [
            `redacted  ${subject.of} ${id ?? ''}`,
            ...result.places.map(({ at, rule, action }) => `  ${visible(at)}  ${rule}  ${action}`),
            `  ${visible(result.json)}`,
          ].join('\n'),
        );
    }
  }
  return EXIT.done;
}

function bodiesOf({ input, server, tool, of }: TestOptions): readonly TestedBody[] {
  const bytes = readBytes(input);
  const lines = bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const events = lines.map((line) => readEventLine(line));
  if (lines.length === 0 || events.some(({ kind }) => kind !== 'event'))
    return [{ id: undefined, server, tool, method: undefined, of, body: bytes }];
  return events.flatMap((read) => (read.kind === 'event' ? eventBodies(read.event, server) : []));
}

function eventBodies(event: Event, server: string): readonly TestedBody[] {
  return (['args', 'result'] as const).flatMap((of) =>
    event[of] === undefined
      ? []
      : [
          {
            id: eventId(event.stream, event.seq),
            server: event.server ?? server,
            tool: event.tool,
            method: event.method,
            of,
            body: Buffer.from(JSON.stringify(event[of])),
          },
        ],
  );
}

export interface ProveOptions {
  readonly file: string;
  readonly key: string;
  readonly original: string;
  /** NDJSON with the event, and with its call.body parts where it has any. */
  readonly event: string;
  /** Where the file holds several redacted events. */
  readonly id: string | undefined;
}

const SAID: Readonly<Record<Refutation, string>> = {
  not_redacted: 'the event says of no redaction of this body',
  other_rules: 'it was redacted by other rules',
  other_key: 'it was redacted with another key',
  other_original: 'this is not the body that was on the wire',
  other_body: 'the redaction of this original gives other bytes than those on record',
  other_places: 'the event lists other places than were replaced',
  other_value: 'a digest is of another value than the one that stands there',
};

/** Exit 0: this original under these rules gives exactly the recorded body. Exit 1: it does not. */
export function provesRedaction({ output }: CommandContext, options: ProveOptions): number {
  const policy: Redaction = readRedaction(options.file, readBytes(options.file));
  const keyed: Keyed = readRedactionKey(options.key);
  const found = recordedBody(readBytes(options.event).toString('utf8'), options.id);
  if (found === undefined)
    throw new TriplineError(
      'usage',
      `${options.event} holds no such event with a redaction, or several: name one with --id`,
    );
  const proof = proveRedaction({ policy, keyed, original: readBytes(options.original), ...found });
  const id = eventId(found.event.stream, found.event.seq);
  if (proof.kind === 'proved') {
    output.item({ id, proved: true, places: proof.places }, () => `proved    ${id}: ${proof.places} places`);
    return EXIT.done;
  }
  output.item(
    { id, proved: false, why: proof.why },
    () => `refuted   ${id}: ${SAID[proof.why]} [${proof.why}]`,
  );
  return EXIT.failed;
}
