/**
 * Sigma rules → rules of ours, or refusals that say where and why. Pure: files in, objects out. A rule that only serves
 * a correlation is not imported for itself, unless the correlation says `generate: true`. A correlation over another one
 * looks at that one's alerts, so both are imported.
 */
import { correlationObjects, type Member } from './correlation.ts';
import { placeText, readSigmaFile, type SigmaDocument, type SigmaFile } from './document.ts';
import { eventRuleObject, selectionsOf, type RuleObject } from './event-rule.ts';
import { Refused, refuse, type Place, type Refusal } from './refusal.ts';

export interface SigmaImport {
  readonly rules: readonly RuleObject[];
  readonly refusals: readonly Refusal[];
}

type Correlation = Extract<SigmaDocument, { kind: 'correlation' }>;
const namesOf = ({ rule }: SigmaDocument): string[] =>
  [rule.name, rule.id].filter((name) => name !== undefined);

const isGenerating = ({ rule }: Correlation): boolean => rule.generate ?? rule.correlation.generate ?? false;

/** Documents by name and id; a name that two have means neither. */
class Index {
  private readonly byName = new Map<string, SigmaDocument[]>();

  constructor(documents: readonly SigmaDocument[]) {
    for (const document of documents) {
      for (const name of new Set(namesOf(document))) this.byName.set(name, [...this.find(name), document]);
    }
  }

  find(name: string): readonly SigmaDocument[] {
    return this.byName.get(name) ?? [];
  }
}

/** Correlations over correlations: the matcher hands alerts on so often and no more (detectors/engine/alert-call.ts). */
const MAX_CHAIN = 3;

function memberOf(
  index: Index,
  reference: string,
  place: { readonly at: Place; readonly depth: number },
): Member {
  const { at, depth } = place;
  const [found, second] = index.find(reference);
  if (found === undefined) return refuse(at, `there is no rule ${reference} in the files`);
  if (second !== undefined) return refuse(at, `${reference} names several rules`);
  if (depth > MAX_CHAIN)
    return refuse(at, `chains more than ${MAX_CHAIN} correlations, or ${reference} itself`);
  try {
    return { reference, names: namesOf(found), ...eventsOf(found, index, depth) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return refuse(at, `${reference} is refused: ${placeText(error.at)}: ${error.message}`);
  }
}

/** What a correlation over the document looks at: its events, or the alerts of the rules that it became. */
function eventsOf(
  document: SigmaDocument,
  index: Index,
  depth: number,
): Pick<Member, 'selections' | 'isAlert'> {
  if (document.kind === 'event') return { selections: selectionsOf(document.rule), isAlert: false };
  const ids = objectsOf(document, index, depth).map((rule) => String(rule['id']));
  const [only] = ids;
  return {
    selections: [{ 'alert.rule': ids.length === 1 && only !== undefined ? only : ids }],
    isAlert: true,
  };
}

function objectsOf(document: SigmaDocument, index: Index, depth = 0): RuleObject[] {
  if (document.kind === 'event') return [eventRuleObject(document.rule)];
  const { rules } = document.rule.correlation;
  const members = rules.map((name, position) =>
    memberOf(index, name, { at: ['correlation', 'rules', position], depth: depth + 1 }),
  );
  if (new Set(rules.map((name) => index.find(name)[0])).size < rules.length)
    refuse(['correlation', 'rules'], 'names one rule twice');
  return correlationObjects(document.rule, members);
}

/** Documents that only serve a correlation. */
function servants(documents: readonly SigmaDocument[], index: Index): ReadonlySet<SigmaDocument> {
  const correlations = documents.filter((one): one is Correlation => one.kind === 'correlation');
  const serving = (some: readonly Correlation[]): SigmaDocument[] =>
    some.flatMap(({ rule }) => rule.correlation.rules.flatMap((name) => index.find(name)));
  const generated = new Set(serving(correlations.filter(isGenerating)));
  return new Set(serving(correlations).filter((one) => one.kind === 'event' && !generated.has(one)));
}

/** Imports files together: correlations may refer to rules of any of them. Never throws. */
export function importSigma(files: readonly SigmaFile[]): SigmaImport {
  const read = files.map(readSigmaFile);
  const documents = read.flatMap((file) => file.documents);
  const refusals: Refusal[] = read.flatMap((file) => file.refusals);
  const index = new Index(documents);
  const serving = servants(documents, index);
  const rules = new Map<string, RuleObject>();
  for (const document of documents.filter((one) => !serving.has(one))) {
    try {
      const made = objectsOf(document, index);
      const taken = made.find((rule) => rules.has(String(rule['id'])));
      if (taken !== undefined) refuse(['id'], `another rule became ${String(taken['id'])} already`);
      for (const rule of made) rules.set(String(rule['id']), rule);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const { source } = document;
      const place = { path: source.path, line: source.lineOf(error.at) };
      refusals.push({ ...place, what: placeText(error.at), why: error.message });
    }
  }
  return { rules: [...rules.values()], refusals };
}
