/** Data labels of a body: what the operator or the tool's class says of it, and `secret` where a secret stands in it. Pure. */
import type { DataLabel, LabelMapping } from '../../schemas/labels/v1.ts';
import { secretsInJson, type BodySecrets, type LookOptions } from './body-secrets.ts';
import { graverLabel, mappedLabel, NO_MAPPING, type LabelSubject } from './mapping.ts';

/** Any change of what bodies are labelled with is a new version. */
export const LABELS_VERSION = 1;

export interface LabelledBody extends LabelSubject {
  readonly of: 'args' | 'result';
  readonly mapping?: LabelMapping | undefined;
  /** Bytes (of a text: characters) that are looked at. */
  readonly maxLookedAt?: number | undefined;
}

export interface Labelled extends BodySecrets {
  /** The gravest label alone: none, or one of public, internal, secret. */
  readonly labels: readonly DataLabel[];
}

const NONE: readonly DataLabel[] = Object.freeze([]);
const ALONE: Readonly<Record<DataLabel, readonly DataLabel[]>> = {
  public: Object.freeze(['public'] as const),
  internal: Object.freeze(['internal'] as const),
  secret: Object.freeze(['secret'] as const),
};
const ignored = new WeakMap<LabelMapping, LookOptions['ignore']>();

/** Kinds that the mapping does not want looked for. */
export function ignoredKinds(mapping: LabelMapping): NonNullable<LookOptions['ignore']> {
  let kinds = ignored.get(mapping);
  if (kinds === undefined) ignored.set(mapping, (kinds = new Set(mapping.ignoreSecrets)));
  return kinds;
}

/** `secret:KIND` for each kind, once: so that lists of labels tell what was found. */
export function kindLabels(secrets: BodySecrets['secrets']): readonly string[] {
  return [...new Set(secrets.map(({ kind }) => `secret:${kind}`))];
}

/** Labels of a body whose secrets are known. */
export function labelledBy(found: BodySecrets, about: LabelledBody): Labelled {
  const label = graverLabel(
    mappedLabel(about.of, about, about.mapping),
    found.secrets.length > 0 ? 'secret' : undefined,
  );
  return { ...found, labels: label === undefined ? NONE : ALONE[label] };
}

/** Labels, kinds and places of secrets of a body as it stood on the wire (JSON, as bytes or text). */
export function labelled(body: Uint8Array | string | undefined, about: LabelledBody): Labelled {
  const { mapping = NO_MAPPING, maxLookedAt } = about;
  const options: LookOptions = {
    ignore: ignoredKinds(mapping),
    ...(maxLookedAt === undefined ? {} : { maxLookedAt }),
  };
  const found = body === undefined ? { secrets: [], cut: false } : secretsInJson(body, options);
  return labelledBy(found, about);
}

/** The labels alone. */
export function labelsOf(body: Uint8Array | string | undefined, about: LabelledBody): readonly DataLabel[] {
  return labelled(body, about).labels;
}
