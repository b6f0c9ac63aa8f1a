/**
 * The matcher's workload: three-step rules over events of tools with a skew, so that some rules are touched often; the
 * engine over it, and the bare loop that stands beside it.
 */
import { createHash } from 'node:crypto';
import { loadRules } from '../../detectors/compile/load.ts';
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import type { Engine } from '../../detectors/engine/engine.ts';
import { ParsedCall } from '../../detectors/engine/parsed-call.ts';
import type { Event } from '../../schemas/event/v1.ts';
import { randomBelow } from './random.ts';

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

const TOOLS = 64;
export const WITHIN_MS = 600_000;
const START_MS = 1_750_000_000_000;
const RUNS = 3;

export interface Workload {
  readonly rules: readonly (readonly [number, number, number])[];
  readonly tools: Uint8Array;
  readonly keys: Uint32Array;
}

/** Tools with a skew (the product of two draws), rules over any three of them. */
export function workload(ruleCount: number, keyCount: number, events: number): Workload {
  const random = randomBelow(7);
  const tools = new Uint8Array(events);
  const keys = new Uint32Array(events);
  for (let at = 0; at < events; at++) {
    tools[at] = Math.floor((random(TOOLS * 1000) / 1000) * (random(1000) / 1000));
    keys[at] = random(keyCount);
  }
  const rules = Array.from({ length: ruleCount }, () => {
    const draw = (): number => random(TOOLS);
    return [draw(), draw(), draw()] as const;
  });
  return { rules, tools, keys };
}

export function compiledRules(rules: Workload['rules']): readonly CompiledRule[] {
  const text = rules
    .map(
      ([a, b, c], index) => `id: bench.${index}
title: t
level: low
key: session
events: { a: { tool.name: t${a} }, b: { tool.name: t${b} }, c: { tool.name: t${c} } }
sequence: [{ event: a, as: x }, { event: b, as: y }, { event: c, as: z }]
within: 10m
`,
    )
    .join('---\n');
  const loaded = loadRules([{ path: 'bench', text }], { sha256Hex });
  if (loaded.faults.length > 0) throw new Error(JSON.stringify(loaded.faults[0]));
  return loaded.rules;
}

export function eventsOf({ tools, keys }: Workload): Event[] {
  return Array.from(tools, (tool, index): Event => ({
    v: 1,
    kind: 'call.intent',
    stream: (keys[index] as number).toString(16).padStart(32, '0'),
    seq: index,
    nonce: '0'.repeat(32),
    time: '2025-06-15T15:06:40.000Z',
    session: `session-${keys[index]}`,
    agent: 'agent',
    callId: `call-${index}`,
    server: 'server',
    tool: `t${tool}`,
  }));
}

export const timeAt = (index: number): number => START_MS + index * 2;
const noHost = (): string => '';
const FACTS = { toolClass: 'other', destHost: noHost, sha256Hex };
export const BUDGET = { lateWaitMs: 5_000, maxStates: 10_000_000, maxStatesPerTenant: 10_000_000 };

/** Matches told by the engine with evidence, late repair and budgets. */
export function runEngine(engine: Engine, events: readonly Event[], offset: number): number {
  let found = 0;
  for (let index = 0; index < events.length; index++) {
    const timeMs = timeAt(offset + index);
    engine.advance(timeMs);
    const place = {
      tenant: 't',
      topic: 'x',
      partition: 0,
      offset: offset + index,
      line: 0,
      timeMs,
      appendMs: timeMs,
    };
    engine.process(new ParsedCall(events[index] as Event, place, FACTS));
    if ((index & 255) === 0) found += engine.take().length;
  }
  return found + engine.take().length;
}

/** The bare loop: no evidence, no late events, no budget, every rule and key in one slab. */
export function runSlab({ rules, tools, keys }: Workload, slab: Float64Array, offset: number): number {
  const touch: (readonly [rule: number, step: number])[][] = Array.from({ length: TOOLS }, () => []);
  rules.forEach((steps, rule) => {
    for (let step = 2; step >= 0; step--) touch[steps[step] as number]?.push([rule, step]);
  });
  const stride = rules.length * 2;
  let found = 0;
  for (let index = 0; index < tools.length; index++) {
    const timeMs = timeAt(offset + index);
    const base = (keys[index] as number) * stride;
    for (const [rule, step] of touch[tools[index] as number] as (readonly [number, number])[]) {
      const at = base + rule * 2;
      const startMs = step === 0 ? timeMs : (slab[at + step - 1] as number);
      if (timeMs - startMs > WITHIN_MS) continue;
      if (step === 2) found++;
      else if (startMs >= (slab[at + step] as number)) slab[at + step] = startMs;
    }
  }
  return found;
}

export const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** Events a second of CPU time: median of the runs; the first, which warms up, does not count. */
export function rate(events: number, act: (run: number) => void): number {
  const rates: number[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const before = cpuSeconds();
    act(run);
    if (run > 0) rates.push(events / (cpuSeconds() - before));
  }
  return Math.round(rates.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)] as number);
}
