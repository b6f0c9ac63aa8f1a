/** The four rules that the stories of kills and rebalances are made for: one of each kind, so that a run is quick to catch up. */
import { join, resolve } from 'node:path';

const RULES = resolve(import.meta.dirname, '../../../detectors/rules');

export const STORY_RULES = {
  builtin: false,
  directories: [
    'exfiltration/search-vault-post',
    'exfiltration/secret-to-sink',
    'destructive/delete-without-approval',
    'relay/agent-relay',
  ].map((name) => join(RULES, name)),
};
