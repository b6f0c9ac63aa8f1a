/** References of cited calls that were read as columns: they are completed before alerts are made of them. */
import type { CallPart } from '../../schemas/event/columns.ts';
import type { CallSummary } from '../../detectors/engine/call.ts';
import type { Finding } from '../../detectors/engine/finding.ts';
import { chainOf } from '../../detectors/engine/prefixes.ts';
import { CallReader, type Citation } from './column-call.ts';
import type { DetectSettings } from './step.ts';

export type CitedPlace = readonly [partition: number, offset: number, line: number];

export class Citations {
  readonly #reader: CallReader;
  readonly #open = new Map<string, Citation>();

  constructor(settings: DetectSettings) {
    this.#reader = new CallReader(settings);
  }

  see(finding: Finding): void {
    if (finding.kind === 'degraded') this.#add(finding.entry.reference);
    else for (const { entry } of chainOf(finding.completed.last)) this.#add(entry.reference);
  }

  #add(reference: CallSummary): void {
    const { eventId, partition, offset, line } = reference;
    if (eventId === '') this.#open.set(textOf([partition, offset, line]), reference);
  }

  /** Places of the calls whose rows are still wanted. */
  places(): readonly CitedPlace[] {
    return Array.from(this.#open.values(), ({ partition, offset, line }) => [partition, offset, line]);
  }

  /** Takes rows with the columns for citations. */
  complete(part: CallPart): void {
    for (let at = 0; at < part.offset.length; at++) {
      const place = textOf([part.partition, part.offset[at] as number, part.line[at] as number]);
      const citation = this.#open.get(place);
      if (citation === undefined) continue;
      this.#open.delete(place);
      // A call without a tool has no class.
      delete citation.class;
      Object.assign(citation, this.#reader.summary(part, at));
    }
  }
}

const textOf = (place: CitedPlace): string => place.join('/');
