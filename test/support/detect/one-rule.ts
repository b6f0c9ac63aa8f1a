/** Stage two with one rule of two steps, and what it takes to run it. */
import { createHash } from 'node:crypto';
import { loadRules } from '../../../detectors/compile/load.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

const rule = (more: string): string => `id: a.b
title: T
level: low
key: agent
events: { a: { tool.name: x }, b: { tool.name: y } }
sequence: [a, b]
within: 1m
${more}`;

/** Settings of a StageTwo whose only rule is step a, then step b, of one agent within a minute; `more` are further lines of it. */
export function settingsOfOneRule(more = '') {
  const { rules, faults } = loadRules([{ path: 'r', text: rule(more) }], { sha256Hex });
  if (faults.length > 0) throw new Error(JSON.stringify(faults));
  return {
    rules,
    engine: { lateWaitMs: 5_000, maxStates: 1_000, maxStatesPerTenant: 1_000 },
    mappings: [],
    internalHosts: [],
    sha256Hex,
    sha256: (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest(),
  };
}
