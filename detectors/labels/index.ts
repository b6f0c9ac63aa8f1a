export { kindLabels, labelled, labelledBy, labelsOf, LABELS_VERSION } from './labels.ts';
export type { Labelled, LabelledBody } from './labels.ts';
export { secretsInJson, secretsInValue, type BodySecret, type BodySecrets } from './body-secrets.ts';
export { secretsIn, type FoundSecret } from './secrets.ts';
export { effectiveLabels, effectiveTrust, secretPart, type EffectiveLabels } from './effective.ts';
export { trustOf, lessTrusted, readsHosts, NO_MAPPING, type Trust, type LabelSubject } from './mapping.ts';
