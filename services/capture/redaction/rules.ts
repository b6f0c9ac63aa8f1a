/** Rules of a redaction file made ready, and those of them that a message is under. */
import { createHash } from 'node:crypto';
import { matchesPattern } from '../../../schemas/policy/decide.ts';
import type { SecretKind } from '../../../schemas/labels/v1.ts';
import { parsePath, type PathStep } from '../../../schemas/redaction/path.ts';
import { parsePattern } from '../../../schemas/redaction/pattern.ts';
import type { Redaction, RedactionRule } from '../../../schemas/redaction/v1.ts';

/** What a rule puts in the place of a value. */
export interface Treatment {
  readonly rule: string;
  readonly action: RedactionRule['action'];
  readonly keepLast: number;
}

export interface SelectedPath {
  readonly steps: readonly PathStep[];
  readonly by: Treatment;
}

/** The rules for one server, tool and side, earlier ones first. */
export interface Selected {
  readonly paths: readonly SelectedPath[];
  readonly secrets: readonly { readonly kinds: ReadonlySet<SecretKind> | 'all'; readonly by: Treatment }[];
  readonly patterns: readonly { readonly regexp: RegExp; readonly by: Treatment }[];
}

export interface RedactionSubject {
  readonly server: string;
  readonly tool: string | undefined;
  readonly method: string | undefined;
  readonly of: 'args' | 'result';
}

interface Compiled extends Selected {
  readonly rule: RedactionRule;
}

/** Tool names are a peer's: so many answers are kept. */
const MAX_SELECTIONS = 256;

function treatmentOf({ id, action, keepLast = 0 }: RedactionRule): Treatment {
  return { rule: id, action, keepLast };
}

function compiled(rule: RedactionRule): Compiled {
  const by = treatmentOf(rule);
  const { secrets } = rule;
  return {
    rule,
    paths: (rule.paths ?? []).flatMap((text) => {
      const path = parsePath(text);
      return path.kind === 'path' ? [{ steps: path.steps, by }] : [];
    }),
    secrets: secrets === undefined ? [] : [{ kinds: secrets === 'all' ? 'all' : new Set(secrets), by }],
    patterns: (rule.patterns ?? []).flatMap((text) => {
      const pattern = parsePattern(text);
      const flags = rule.ignoreCase ? 'giu' : 'gu';
      return pattern.kind === 'pattern' ? [{ regexp: new RegExp(pattern.source, flags), by }] : [];
    }),
  };
}

const meets = (patterns: readonly string[] | undefined, texts: readonly (string | undefined)[]): boolean =>
  patterns === undefined ||
  texts.some((text) => text !== undefined && patterns.some((pattern) => matchesPattern(pattern, text)));

export class RedactionRules {
  readonly follow: boolean;
  readonly #rules: readonly Compiled[];
  readonly #selections = new Map<string, Selected>();

  constructor(policy: Redaction) {
    this.follow = policy.follow;
    this.#rules = policy.rules.map(compiled);
  }

  select(subject: RedactionSubject): Selected {
    const key = JSON.stringify([subject.server, subject.tool, subject.method, subject.of]);
    const known = this.#selections.get(key);
    if (known !== undefined) return known;
    const rules = this.#rules.filter(({ rule }) => covers(rule, subject));
    const selected: Selected = {
      paths: rules.flatMap(({ paths }) => paths),
      secrets: rules.flatMap(({ secrets }) => secrets),
      patterns: rules.flatMap(({ patterns }) => patterns),
    };
    if (this.#selections.size >= MAX_SELECTIONS) this.#selections.clear();
    this.#selections.set(key, selected);
    return selected;
  }
}

function covers(rule: RedactionRule, { server, tool, method, of }: RedactionSubject): boolean {
  return (
    (rule.of === 'both' || rule.of === of) &&
    meets(rule.servers, [server]) &&
    meets(rule.tools, [tool, method])
  );
}

/** Members of every object by name: the canonical form of a file whose values are texts, whole numbers, flags and lists. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    entries
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}

/** SHA-256 of the checked file in canonical form (RFC 8785), defaults written out: comments and order of keys do not count. */
export function redactionHash(policy: Redaction): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(policy)))
    .digest('hex');
}
