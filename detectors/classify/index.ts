export { classify, CLASSIFIER_VERSION } from './classify.ts';
export type {
  Classification,
  ClassifiedEvent,
  ClassMappingLine,
  ClassSource,
  ToolClass,
} from './classify.ts';
export { destHost, hostsIn, UNSEEN_HOST } from './dest-host.ts';
