/** What capture and detection share of labels. */
export { kindLabels, labelled, LABELS_VERSION } from './labels.ts';
export type { Labelled } from './labels.ts';
export { trustOf, readsHosts, NO_MAPPING, type Trust } from './mapping.ts';
