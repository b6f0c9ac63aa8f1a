/**
 * Calls as agents make them, for measuring all shipped rules: intents and results in turn, tools of all classes, results
 * of 0.2-8 kB as prose, JSON lists, code and HTML, one in fifty with a credential in it; every value is drawn anew.
 */
import { randomBelow, type RandomBelow } from './random.ts';

/** Tool, server and share in percent; what each answers is by its name. */
const TOOLS: readonly (readonly [tool: string, server: string, share: number])[] = [
  ['compute_sum', 'math', 12],
  ['get_weather', 'weather', 8],
  ['read_file', 'files', 18],
  ['run_query', 'database', 12],
  ['web_search', 'web', 10],
  ['fetch_url', 'web', 10],
  ['write_file', 'files', 7],
  ['list_messages', 'mail', 4],
  ['read_graph', 'memory', 4],
  ['create_entities', 'memory', 3],
  ['send_email', 'mail', 4],
  ['run_command', 'shell', 3],
  ['http_post', 'web', 2],
  ['read_secret', 'vault', 1],
  ['delete_file', 'files', 1],
  ['send_money', 'bank', 1],
];

const WORDS = (
  'the of and to in for with that this from was are on report quarter team customer invoice update meeting project ' +
  'budget release server design review please confirm after before should could message address account number order ' +
  'delivery status pending approved weather forecast travel hotel booking flight Berlin Oslo market price change ' +
  'increase result analysis table figure section document version system configuration important agent user new note ' +
  'list send read write file folder network service request response error timeout question answer first second third'
).split(' ');
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

class Texts {
  private readonly random: RandomBelow;
  constructor(random: RandomBelow) {
    this.random = random;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random(from.length)] as T;
  }

  token(length: number): string {
    return Array.from({ length }, () => ALPHABET[this.random(ALPHABET.length)]).join('');
  }

  number(below: number): number {
    return this.random(below);
  }

  /** Characters of a body: most are short, one in twenty is long. */
  size(): number {
    const kind = this.random(20);
    if (kind === 0) return 4_000 + this.random(4_000);
    return kind < 8 ? 1_000 + this.random(2_000) : 200 + this.random(800);
  }

  prose(length: number): string {
    let text = '';
    while (text.length < length) {
      const kind = this.random(60);
      if (kind === 0) text += `${this.pick(WORDS)}.${this.pick(WORDS)}@example.org `;
      else if (kind === 1)
        text += `https://${this.pick(WORDS)}.example.com/${this.pick(WORDS)}?id=${this.random(1e6)} `;
      else if (kind === 2) text += `${this.random(100_000)} `;
      else if (kind < 6) text += `${this.pick(WORDS)}.\n`;
      else text += `${this.pick(WORDS)} `;
    }
    return text.slice(0, length);
  }

  rows(length: number): string {
    const rows: unknown[] = [];
    for (let size = 0; size < length; size += 130) {
      rows.push({
        id: this.random(1e6),
        name: `${this.pick(WORDS)} ${this.pick(WORDS)}`,
        total: this.random(1e6) / 100,
        createdAt: new Date(1_700_000_000_000 + this.random(1e9) * 10).toISOString(),
        reference: this.token(12),
      });
    }
    return JSON.stringify(rows);
  }

  page(length: number): string {
    let text = '<!doctype html><html><head><title>News</title></head><body>';
    while (text.length < length)
      text += `<div class="${this.pick(WORDS)}-${this.pick(WORDS)}"><p>${this.prose(120)}</p></div>\n`;
    return text;
  }

  code(length: number): string {
    let text = '';
    while (text.length < length)
      text += `export function ${this.pick(WORDS)}(${this.pick(WORDS)}: string): number {\n  return ${this.pick(WORDS)}.length + ${this.random(100)}; // ${this.prose(30)}\n}\n`;
    return text;
  }
}

type ArgsOf = (texts: Texts, word: string) => Record<string, unknown>;

const path: ArgsOf = (texts, word) => ({ path: `/srv/${word}/${texts.pick(WORDS)}/${texts.number(1e4)}.md` });

/** Arguments by tool; all others search. */
const ARGS: Readonly<Record<string, ArgsOf>> = {
  compute_sum: (texts) => ({ values: Array.from({ length: 12 }, () => texts.number(1000)) }),
  fetch_url: (texts, word) => ({
    url: `https://${word}.example.com/${texts.pick(WORDS)}/${texts.number(1e6)}`,
  }),
  http_post: (texts, word) => ({
    url: `https://api-${texts.number(20)}.example.net/v1/${word}`,
    body: texts.prose(texts.size()),
  }),
  write_file: (texts, word) => ({
    path: `/srv/${word}/${texts.number(1e4)}.ts`,
    content: texts.code(texts.size()),
  }),
  send_email: (texts, word) => ({
    to: [`${word}@example.org`],
    subject: texts.prose(40),
    body: texts.prose(texts.size()),
  }),
  run_command: (texts, word) => ({
    command: `npm run ${word} -- --${texts.pick(WORDS)} ${texts.number(100)}`,
  }),
  create_entities: (texts, word) => ({
    entities: [{ name: word, observations: [texts.prose(200), texts.prose(200)] }],
  }),
  run_query: (texts, word) => ({
    sql: `SELECT ${word}, ${texts.pick(WORDS)} FROM orders WHERE id = ${texts.number(1e6)} LIMIT 50`,
  }),
  send_money: (texts) => ({
    recipient: `DE${texts.number(1e9)}`,
    amount: texts.number(500),
    subject: texts.prose(30),
  }),
  read_file: path,
  delete_file: path,
};
const search: ArgsOf = (texts) => ({ query: texts.prose(40), limit: texts.number(50) });

function argsOf(tool: string, texts: Texts): Record<string, unknown> {
  const word = texts.pick(WORDS);
  return (ARGS[tool] ?? search)(texts, word);
}

type ResultOf = (texts: Texts, secret: string) => string;

const amount: ResultOf = (texts) => `${texts.number(100_000)}`;
const done: ResultOf = () => 'done';

/** Results by tool; all others are prose. */
const RESULTS: Readonly<Record<string, ResultOf>> = {
  compute_sum: amount,
  send_money: amount,
  delete_file: amount,
  read_secret: (texts) => JSON.stringify({ name: texts.pick(WORDS), value: texts.token(32) }),
  run_query: (texts, secret) => texts.rows(texts.size()) + secret,
  fetch_url: (texts, secret) => texts.page(texts.size()) + secret,
  read_file: (texts, secret) => texts.code(texts.size()) + secret,
  write_file: done,
  send_email: done,
  create_entities: done,
};
const prose: ResultOf = (texts, secret) => texts.prose(texts.size()) + secret;

function resultText(tool: string, texts: Texts): string {
  const secret = texts.number(50) === 0 ? ` AKIA${texts.token(16).toUpperCase()} ${texts.token(40)}` : '';
  return (RESULTS[tool] ?? prose)(texts, secret);
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

export interface TrafficPlace {
  readonly session: number;
  readonly seq: number;
  readonly timeMs: number;
}

/** Makes the lines of sessions, each intent followed by its result. */
export class PackTraffic {
  private readonly texts: Texts;
  private readonly urn = TOOLS.flatMap(([tool, server, share]) =>
    Array.from({ length: share }, () => [tool, server] as const),
  );
  /** Tool of the intent that waits for its result, by session. */
  private readonly open = new Map<number, readonly [tool: string, server: string]>();

  constructor(seed: number) {
    this.texts = new Texts(randomBelow(seed));
  }

  line({ session, seq, timeMs }: TrafficPlace): string {
    const waiting = this.open.get(session);
    const [tool, server] = waiting ?? this.texts.pick(this.urn);
    if (waiting === undefined) this.open.set(session, [tool, server]);
    else this.open.delete(session);
    const body = waiting === undefined ? this.intent(tool) : this.result(tool);
    return JSON.stringify({
      v: 1,
      kind: waiting === undefined ? 'call.intent' : 'call.result',
      stream: hex(session, 32),
      seq,
      nonce: hex(session, 16) + hex(seq, 16),
      time: new Date(timeMs).toISOString(),
      session: `session-${session}`,
      agent: `agent-${session % 7}`,
      principal: 'user@example.org',
      host: `host-${session % 3}`,
      callId: `call-${seq >> 1}`,
      traceId: hex(session + 1, 32),
      spanId: hex(seq + 1, 16),
      server,
      transport: 'stdio',
      tool,
      ...body,
    });
  }

  private intent(tool: string): object {
    const args = argsOf(tool, this.texts);
    return { args, argsHash: this.digest(), argsBytes: JSON.stringify(args).length };
  }

  private result(tool: string): object {
    const text = resultText(tool, this.texts);
    const result = { content: [{ type: 'text', text }] };
    const resultBytes = text.length + 40;
    return { outcome: 'ok', durationMs: 12.5, result, resultHash: this.digest(), resultBytes };
  }

  private digest(): string {
    return hex(this.texts.number(2 ** 31), 64);
  }
}
