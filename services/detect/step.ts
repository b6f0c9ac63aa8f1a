/**
 * Stage one, pure: records of one partition of topic toolcalls in, findings of the rules that stay inside a session and
 * facts for those that do not out. The same records give the same answers, wherever it was restored in between.
 */
import { endOfLine, readRecordHeaders } from '../../schemas/bus/record.ts';
import { LineReader, ScannedEvent } from '../../schemas/event/scanned-event.ts';
import type { Event } from '../../schemas/event/v1.ts';
import type { LabelMapping } from '../../schemas/labels/v1.ts';
import { classify, type ClassMappingLine } from '../../detectors/classify/classify.ts';
import { destHost } from '../../detectors/classify/dest-host.ts';
import type { HashText } from '../../detectors/compile/compile.ts';
import { isFlowField } from '../../detectors/compile/flow-field.ts';
import { fieldsOfGuard, fieldsOfStep } from '../../detectors/compile/needs.ts';
import type { CompiledRule, Selection } from '../../detectors/compile/rule.ts';
import type { Sha256 } from '../../detectors/engine/alert.ts';
import { AlertCall, alertClass } from '../../detectors/engine/alert-call.ts';
import type { Call } from '../../detectors/engine/call.ts';
import { Engine, type EngineOptions } from '../../detectors/engine/engine.ts';
import type { Finding } from '../../detectors/engine/finding.ts';
import { isFor } from '../../detectors/engine/predicate-index.ts';
import { ParsedCall, type CallFacts, type CallPlace } from '../../detectors/engine/parsed-call.ts';
import { restoreEngine, snapshotEngine, type EngineSnapshot } from '../../detectors/engine/snapshot.ts';
import { parseTimeMs, timeMsAt } from '../../detectors/engine/time.ts';
import type { Fact } from './facts.ts';
import { Bodies, type PackedBodies } from './bodies.ts';
import { Holds, type HeldVerdict } from './holds.ts';
import { Streams, type PackedStreams } from './streams.ts';

/** What is read of a record of the bus. */
export interface SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly appendMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Uint8Array | null;
}

export interface DetectSettings {
  readonly rules: readonly CompiledRule[];
  readonly engine: EngineOptions;
  readonly mappings: readonly ClassMappingLine[];
  readonly internalHosts: readonly string[];
  readonly labelMapping?: LabelMapping | undefined;
  readonly sha256Hex: HashText;
  readonly sha256: Sha256;
}

export interface TenantFact {
  readonly tenant: string;
  readonly fact: Fact;
}

export interface StageOneSnapshot {
  readonly v: 1;
  readonly engine: EngineSnapshot;
  readonly streams: PackedStreams;
  readonly bodies: PackedBodies;
}

interface TenantSelections {
  readonly selections: readonly Selection[];
  /** Asked only of events that one of `selections` fits: an exception alone is no reason to forward. */
  readonly exceptions: readonly Selection[];
  /** By hash of a selection the fields that its events are asked for. */
  readonly fields: ReadonlyMap<string, ReadonlySet<string>>;
  /** Hashes of those from or to whose bodies values are followed. */
  readonly followed: ReadonlySet<string>;
}

/** Selections of tenant rules, each once, and the fields whose values they need. */
function tenantSelections(rules: readonly CompiledRule[]): TenantSelections {
  const distinct = (selections: readonly Selection[]): readonly Selection[] => [
    ...new Map(selections.map((selection) => [selection.hash, selection])).values(),
  ];
  const parts = rules.flatMap((rule) => [...rule.steps, ...rule.guards]);
  return {
    selections: distinct(parts.map(({ selection }) => selection)),
    exceptions: distinct(rules.flatMap((rule) => rule.exceptions.map(({ selection }) => selection))),
    fields: fieldsBySelection(rules),
    followed: new Set(
      rules.flatMap((rule) =>
        rule.steps.flatMap((step) =>
          [...fieldsOfStep(rule, step)].some(isFlowField) ? [step.selection.hash] : [],
        ),
      ),
    ),
  };
}

function fieldsBySelection(rules: readonly CompiledRule[]): ReadonlyMap<string, ReadonlySet<string>> {
  const fields = new Map<string, Set<string>>();
  const add = (selection: Selection, asked: ReadonlySet<string>): void => {
    const own = fields.get(selection.hash) ?? new Set<string>();
    fields.set(selection.hash, own);
    for (const field of asked) own.add(field);
  };
  for (const rule of rules) {
    for (const step of rule.steps) add(step.selection, fieldsOfStep(rule, step));
    for (const guard of rule.guards) add(guard.selection, fieldsOfGuard(rule, guard));
  }
  return fields;
}

function timeMsOf(event: Event): number {
  const known = event instanceof ScannedEvent ? event.readTime(timeMsAt) : undefined;
  return known ?? parseTimeMs(event.time);
}

/** Above every line of a record: alerts that it made the engine find come after its own events. */
const MAX_LINES = 1_000_000;

export class StageOne {
  readonly engine: Engine;
  private readonly settings: DetectSettings;
  private streams: Streams;
  private bodies: Bodies;
  private readonly tenant: TenantSelections;
  private facts: TenantFact[] = [];
  private findings: Finding[] = [];
  private holds = new Holds();
  private readonly lines = new LineReader();
  private readonly factsByClass = new Map<string, CallFacts>();
  /** Running maximum of append times. */
  watermarkMs = Number.NEGATIVE_INFINITY;
  private lastOffset = -1;
  /** Of the record at hand. */
  private offset = -1;
  readonly counts = { events: 0, duplicates: 0, unreadable: 0 };

  constructor(settings: DetectSettings, snapshot?: StageOneSnapshot) {
    this.settings = settings;
    const own = settings.rules.filter((rule) => rule.scope === 'session');
    this.tenant = tenantSelections(settings.rules.filter((rule) => rule.scope === 'tenant'));
    this.engine =
      snapshot === undefined
        ? new Engine(own, settings.engine)
        : restoreEngine(snapshot.engine, own, settings.engine);
    this.engine.onCompleted = (rule, completed) => this.holds.completed(rule, completed, this.offset);
    this.streams = snapshot === undefined ? new Streams() : Streams.unpack(snapshot.streams);
    this.bodies = new Bodies(snapshot?.bodies);
    this.watermarkMs = this.engine.watermarkMs;
  }

  get needsStageTwo(): boolean {
    return this.tenant.selections.length > 0;
  }

  snapshot(): StageOneSnapshot {
    const { engine, streams, bodies } = this;
    return { v: 1, engine: snapshotEngine(engine), streams: streams.pack(), bodies: bodies.pack() };
  }

  /**
   * The same place in the log under other rules. Rules of the same semantic hash keep their states; others begin empty
   * here (a simple one with what the row that it shares still shows of its steps). A tenant rule that is new gets facts from here on only: those of events before were not forwarded for it.
   */
  renewed(settings: DetectSettings): StageOne {
    const next = new StageOne(settings, {
      v: 1,
      engine: snapshotEngine(this.engine),
      streams: [],
      bodies: [],
    });
    next.streams = this.streams;
    next.bodies = this.bodies;
    next.watermarkMs = this.watermarkMs;
    next.lastOffset = this.lastOffset;
    // What was found but not published yet.
    next.facts = this.facts;
    next.findings = this.findings;
    next.holds = this.holds;
    Object.assign(next.counts, this.counts);
    Object.assign(next.engine.counts, this.engine.counts);
    return next;
  }

  /** One record, in offset order. A TICK moves the watermark only. */
  process(record: SourceRecord): void {
    this.watermarkMs = Math.max(this.watermarkMs, record.appendMs);
    this.engine.advance(this.watermarkMs);
    this.offset = record.offset;
    this.readLines(record);
    this.holds.settle();
    this.settle(record);
    this.lastOffset = record.offset;
  }

  /** The calls of one record where their effective times and classes are known already: out of the tables. */
  processCalls(record: Pick<SourceRecord, 'offset' | 'appendMs'>, calls: readonly Call[]): void {
    this.watermarkMs = Math.max(this.watermarkMs, record.appendMs);
    this.engine.advance(this.watermarkMs);
    for (const call of calls) {
      this.counts.events++;
      const forStageTwo = this.concernsStageTwo(call.kind, call.toolClass);
      if (forStageTwo || this.engine.concerns(call.kind, call.toolClass)) this.deliver(call, forStageTwo);
    }
    this.settle(record);
    this.lastOffset = record.offset;
  }

  /** Decides what no record will move any more, at the end of a backtest. */
  finish(): void {
    this.engine.advance(Number.MAX_SAFE_INTEGER);
    this.settle({ offset: this.lastOffset + 1 });
  }

  private readLines(record: SourceRecord): void {
    const headers = readRecordHeaders(record.headers);
    if (headers.kind !== 'events' || record.value === null) return;
    const { value } = record;
    const { stream } = headers;
    const streamKey = `${headers.tenant}\0${stream}`;
    let index = 0;
    for (let from = 0; from < value.length; index++) {
      const end = endOfLine(value, from);
      const event = this.lines.read(value, { from, end, stream });
      if (event?.stream === stream && event.seq === headers.firstSeq + index)
        this.event(event, streamKey, { tenant: headers.tenant, record, line: index });
      else this.counts.unreadable++;
      from = end + 1;
    }
  }

  takeFindings(): readonly Finding[] {
    const { findings } = this;
    if (findings.length > 0) this.findings = [];
    return findings;
  }

  /** Takes what a record made the engine find, and forwards it where a rule on alerts asks. */
  private settle(record: Pick<SourceRecord, 'offset'>): void {
    const found = this.engine.take();
    if (found.length === 0) return;
    this.findings.push(...found);
    found.forEach((finding, index) => {
      // Asked before the alert is put together, which costs more than all the rest of its event.
      if (finding.kind !== 'match' || !this.concernsStageTwo('alert', alertClass(finding))) return;
      const call = new AlertCall(finding, this.settings);
      this.forward(call, { offset: record.offset, line: MAX_LINES + index });
    });
  }

  /** Verdicts on calls that are held back. */
  takeVerdicts(): readonly HeldVerdict[] {
    return this.holds.take();
  }

  takeFacts(): readonly TenantFact[] {
    const { facts } = this;
    if (facts.length > 0) this.facts = [];
    return facts;
  }

  private event(
    event: Event,
    streamKey: string,
    {
      tenant,
      record,
      line,
    }: { readonly tenant: string; readonly record: SourceRecord; readonly line: number },
  ): void {
    const timeMs = this.streams.accept(streamKey, event.seq, timeMsOf(event), this.watermarkMs);
    if (timeMs === undefined) {
      this.counts.duplicates++;
      return;
    }
    this.counts.events++;
    this.holds.intent(event, { tenant, line, appendMs: this.watermarkMs });
    const continued = this.bodies.continued(streamKey, event);
    const { topic, partition, offset } = record;
    const place = { tenant, topic, partition, offset, line, timeMs, appendMs: this.watermarkMs };
    this.match(event, place);
    if (continued !== undefined) this.match(continued, { ...place, continues: true });
  }

  private match(event: Event, place: CallPlace): void {
    const toolClass = classify(event, this.settings.mappings).class;
    const forStageTwo = this.concernsStageTwo(event.kind, toolClass);
    if (!forStageTwo && !this.engine.concerns(event.kind, toolClass)) return;
    this.deliver(new ParsedCall(event, place, this.factsOf(toolClass)), forStageTwo);
  }

  private factsOf(toolClass: string): CallFacts {
    let facts = this.factsByClass.get(toolClass);
    if (facts !== undefined) return facts;
    const { sha256Hex, labelMapping } = this.settings;
    facts = { toolClass, destHost: this.destHost, sha256Hex, labelMapping };
    this.factsByClass.set(toolClass, facts);
    return facts;
  }

  private deliver(call: Call, forStageTwo: boolean): void {
    this.engine.process(call);
    if (forStageTwo) this.forward(call);
  }

  private readonly destHost = (event: Partial<Event>): string =>
    event instanceof ScannedEvent && !event.mayNameHost() ? '' : destHost(event, this.settings.internalHosts);

  private concernsStageTwo(kind: string, toolClass: string): boolean {
    return this.tenant.selections.some((selection) => isFor(selection, kind, toolClass));
  }

  private forward(call: Call, at?: Fact['at']): void {
    const fits = (selection: Selection): boolean =>
      isFor(selection, call.kind, call.toolClass) && call.matches(selection);
    const isPart = call.continues === true;
    const { followed } = this.tenant;
    const asked = this.tenant.selections.filter(
      (selection) => (!isPart || selection.readsBody || followed.has(selection.hash)) && fits(selection),
    );
    if (asked.length === 0) return;
    const matches = [...asked, ...this.tenant.exceptions.filter(fits)].map((selection) => selection.hash);
    const values: Record<string, string> = {};
    const fields = new Set(asked.flatMap(({ hash }) => [...(this.tenant.fields.get(hash) ?? [])]));
    for (const field of fields) {
      const value = call.value(field);
      if (value !== null) values[field] = value;
    }
    const { kind, toolClass, timeMs, appendMs, callKey } = call;
    const fact: Fact = {
      kind,
      toolClass,
      timeMs,
      appendMs,
      callKey,
      matches: [...new Set(matches)],
      values,
      reference: call.reference(),
      ...(at === undefined ? {} : { at }),
      ...(isPart ? { continues: true as const } : {}),
    };
    this.facts.push({ tenant: call.tenant, fact });
  }
}
