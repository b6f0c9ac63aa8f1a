/**
 * Trust policy files (c2sp.org/tlog-policy): which logs, which witnesses, and how many of them make a checkpoint count.
 */
import { TriplineError } from '../../../schemas/errors.ts';
import { toHex, type EvidenceCrypto, type Sha256 } from '../bytes.ts';
import { checkNote, NOTE_KEY_TYPES, parseVkey, type Note, type NoteKey, type SignedBy } from './note.ts';

export interface PolicyWitness {
  /** Only inside the file; the key has a name of its own. */
  readonly name: string;
  readonly key: NoteKey;
  readonly url: string | undefined;
}

interface Group {
  readonly threshold: number;
  readonly members: readonly string[];
}

export interface Policy {
  readonly logs: readonly NoteKey[];
  readonly witnesses: readonly PolicyWitness[];
  readonly groups: ReadonlyMap<string, Group>;
  /** Name of a witness or group; undefined: `quorum none`. */
  readonly quorum: string | undefined;
}

export const MAX_POLICY_CHARACTERS = 256 * 1024;
/** Each of logs, witnesses and groups; readers are asked to take 32. */
const MAX_DEFINITIONS = 256;
const NONE = 'none';

/** Throws policy_invalid, which names the line. */
export function parsePolicy(text: string, sha256: Sha256): Policy {
  const reader = new PolicyReader(sha256);
  if (text.length > MAX_POLICY_CHARACTERS) throw fault(0, 'the file is too long');
  for (const [at, line] of text.split('\n').entries()) reader.take(line, at + 1);
  return reader.finish();
}

function fault(line: number, message: string): TriplineError {
  return new TriplineError('policy_invalid', line === 0 ? message : `line ${line}: ${message}`, {
    path: `line ${line}`,
  });
}

/** Tab is the only one that is allowed: a carriage return would hide in a name. */
function hasControl(text: string): boolean {
  for (const letter of text) if ((letter < ' ' && letter !== '\t') || letter === '\u007f') return true;
  return false;
}

function thresholdOf(count: string, members: number): number {
  if (count === 'any') return 1;
  if (count === 'all') return members;
  return /^[1-9]\d{0,3}$/.test(count) ? Number(count) : 0;
}

class PolicyReader {
  readonly #sha256: Sha256;
  readonly #logs: NoteKey[] = [];
  readonly #witnesses = new Map<string, PolicyWitness>();
  readonly #groups = new Map<string, Group>();
  readonly #members = new Set<string>();
  readonly #keys = { log: new Set<string>(), witness: new Set<string>() };
  #quorum: string | undefined;
  #line = 0;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  take(text: string, line: number): void {
    this.#line = line;
    if (hasControl(text)) throw this.#fault('a control character');
    const [keyword = '', ...items] = text.split(/[ \t]+/).filter((item) => item !== '');
    if (keyword === '' || keyword.startsWith('#')) return;
    switch (keyword) {
      case 'log':
        return this.#log(items);
      case 'witness':
        return this.#witness(items);
      case 'group':
        return this.#group(items);
      case 'quorum':
        return this.#setQuorum(items);
      default:
        throw this.#fault('begins with no keyword (log, witness, group, quorum)');
    }
  }

  finish(): Policy {
    if (this.#quorum === undefined) throw fault(0, 'there is no quorum line');
    const quorum = this.#quorum === NONE ? undefined : this.#quorum;
    return { logs: this.#logs, witnesses: [...this.#witnesses.values()], groups: this.#groups, quorum };
  }

  #log([vkey = '', , ...rest]: readonly string[]): void {
    if (rest.length > 0) throw this.#fault('log takes a key and an URL');
    this.#logs.push(this.#key(vkey, 'log'));
    this.#bound(this.#logs.length);
  }

  #witness([name = '', vkey = '', url, ...rest]: readonly string[]): void {
    if (rest.length > 0) throw this.#fault('witness takes a name, a key and an URL');
    this.#define(name);
    this.#witnesses.set(name, { name, key: this.#key(vkey, 'witness'), url });
    this.#bound(this.#witnesses.size);
  }

  #group([name = '', count = '', ...members]: readonly string[]): void {
    this.#define(name);
    for (const member of members) {
      if (!this.#isKnown(member)) throw this.#fault('a member is not defined above');
      if (this.#members.has(member)) throw this.#fault('a member counts in a group already');
      this.#members.add(member);
    }
    const threshold = thresholdOf(count, members.length);
    if (threshold < 1 || threshold > members.length) throw this.#fault('the threshold fits no member count');
    this.#groups.set(name, { threshold, members });
    this.#bound(this.#groups.size);
  }

  #setQuorum([name = '', ...rest]: readonly string[]): void {
    if (rest.length > 0 || this.#quorum !== undefined) throw this.#fault('there is one quorum, of one name');
    if (name !== NONE && !this.#isKnown(name)) throw this.#fault('the quorum is not defined above');
    this.#quorum = name;
  }

  #isKnown(name: string): boolean {
    return this.#witnesses.has(name) || this.#groups.has(name);
  }

  #define(name: string): void {
    if (name === '' || name === NONE || this.#isKnown(name)) throw this.#fault('the name cannot be defined');
  }

  /** One underlying key counts once, whatever names it goes by. */
  #key(vkey: string, use: 'log' | 'witness'): NoteKey {
    const key = parseVkey(vkey, this.#sha256);
    const type = use === 'log' ? NOTE_KEY_TYPES.ed25519 : NOTE_KEY_TYPES.cosignature;
    if (key === undefined || key.type !== type) throw this.#fault(`not a key of a ${use}`);
    const id = toHex(key.publicKey);
    if (this.#keys[use].has(id)) throw this.#fault('the key is named twice');
    this.#keys[use].add(id);
    return key;
  }

  #bound(count: number): void {
    if (count > MAX_DEFINITIONS) throw this.#fault('too many definitions');
  }

  #fault(message: string): TriplineError {
    return fault(this.#line, message);
  }
}

export interface Cosigners {
  /** True when the quorum is met; never for `quorum none`, which asks for nobody. */
  readonly quorum: boolean;
  readonly signed: readonly { readonly name: string; readonly timeSeconds: number }[];
  /** A line that says it is of a witness of the policy, and is not. */
  readonly forged: boolean;
}

/** Which witnesses of the policy have cosigned a checkpoint, and whether they suffice. */
export function cosigners(note: Note, policy: Policy, crypto: EvidenceCrypto): Cosigners {
  const keys = policy.witnesses.map(({ key }) => key);
  const check = checkNote(note, keys, crypto);
  if (check.kind !== 'signed') return { quorum: false, signed: [], forged: check.kind === 'forged' };
  const signed = policy.witnesses.flatMap(({ name, key }) => {
    const by = check.by.find((one: SignedBy) => one.key === key);
    return by === undefined ? [] : [{ name, timeSeconds: by.timeSeconds ?? 0 }];
  });
  return { quorum: meetsQuorum(policy, new Set(signed.map(({ name }) => name))), signed, forged: false };
}

/** Groups only name what stands above them, so this ends. */
export function meetsQuorum({ groups, quorum }: Policy, cosigned: ReadonlySet<string>): boolean {
  const counts = (name: string): boolean => {
    const group = groups.get(name);
    if (group === undefined) return cosigned.has(name);
    return group.members.filter(counts).length >= group.threshold;
  };
  return quorum !== undefined && counts(quorum);
}
