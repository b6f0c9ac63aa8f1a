/** Records of 64 events, each of a session of its own: one template of bytes, patched in place. */
import { FORMAT_EVENTS, HEADERS, MAX_LINES_PER_RECORD, TOPICS } from '../../../schemas/topics.ts';
import type { SourceRecord } from '../../../services/detect/step.ts';

const STREAM = 'f'.repeat(32);
/** Ten digits, so that all have the same width. */
const FIRST_SEQ = 1_000_000_000;
const SEQ_DIGITS = 10;
const SESSION_DIGITS = 16;
const HEX = new TextEncoder().encode('0123456789abcdef');
const ZERO = 48;

interface LinePlaces {
  readonly seq: number;
  readonly time: number;
  readonly session: number;
}

export class Flood {
  private readonly value: Uint8Array;
  private readonly places: readonly LinePlaces[];
  private readonly tenant: string;
  private random: number;
  private nextSeq = FIRST_SEQ;

  /** `toolOf` gives the tool of the n-th line of every record. */
  constructor(options: {
    readonly tenant: string;
    readonly seed: number;
    readonly toolOf: (line: number) => string;
  }) {
    this.tenant = options.tenant;
    this.random = options.seed | 1;
    const lines = Array.from({ length: MAX_LINES_PER_RECORD }, (_, line) =>
      JSON.stringify({
        v: 1,
        kind: 'call.intent',
        stream: STREAM,
        seq: FIRST_SEQ,
        nonce: '0'.repeat(32),
        time: new Date(0).toISOString(),
        session: 's'.repeat(SESSION_DIGITS),
        agent: 'a',
        callId: 'c',
        tool: options.toolOf(line),
        args: {},
      }),
    );
    this.value = new TextEncoder().encode(lines.join('\n'));
    let start = 0;
    this.places = lines.map((line) => {
      const at = (name: string): number => start + line.indexOf(`"${name}":`) + name.length + 3;
      const places = { seq: at('seq'), time: at('time') + 1, session: at('session') + 1 };
      start += line.length + 1;
      return places;
    });
  }

  /** The next record; its bytes are the same memory each time. */
  record(offset: number, appendMs: number): SourceRecord {
    const firstSeq = this.nextSeq;
    const time = new TextEncoder().encode(new Date(appendMs).toISOString());
    for (const places of this.places) {
      this.putSeq(places.seq, this.nextSeq++);
      this.value.set(time, places.time);
      this.putSession(places.session);
    }
    return {
      topic: TOPICS.toolcalls.name,
      partition: 0,
      offset,
      appendMs,
      headers: {
        [HEADERS.format]: FORMAT_EVENTS,
        [HEADERS.tenant]: this.tenant,
        [HEADERS.stream]: STREAM,
        [HEADERS.firstSeq]: String(firstSeq),
      },
      value: this.value,
    };
  }

  private putSeq(at: number, seq: number): void {
    let rest = seq;
    for (let digit = SEQ_DIGITS - 1; digit >= 0; digit--) {
      this.value[at + digit] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
  }

  /** Two draws of 32 bits as hex. */
  private putSession(at: number): void {
    for (let half = 0; half < SESSION_DIGITS; half += 8) {
      const draw = this.draw();
      for (let digit = 0; digit < 8; digit++) {
        this.value[at + half + digit] = HEX[(draw >>> (digit * 4)) & 15] as number;
      }
    }
  }

  /** xorshift32 */
  private draw(): number {
    let x = this.random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.random = x;
    return x >>> 0;
  }
}
