/** Bytes that are HTTP, nearly HTTP, or HTTP to some: for properties. */
import fc from 'fast-check';

const TOKEN = fc.constantFrom(
  'A',
  'x-b',
  'X-Kept',
  'Accept',
  '__proto__',
  "!#$%&'*+-.^_`|~",
  'Via',
  'cookie',
);
const VALUE = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'a, b',
    'two  words',
    'a\tb',
    '\xe4\xff',
    '"q\\"',
    'chunked',
    '3',
    'x'.repeat(300),
  ),
  fc.string({ maxLength: 12 }).map((text) => text.replaceAll(/[^\u0021-\u007E]/gu, '')),
);
const BLANKS = fc.constantFrom('', ' ', ' ', ' ', '\t', '  \t');
const BODY = fc.oneof(
  fc.constantFrom('', 'abc', '\r\n', '0\r\n\r\n', 'GET / HTTP/1.1\r\nHost: evil\r\n\r\n'),
  fc.string({ maxLength: 40, unit: 'binary-ascii' }),
);
const LINE = fc
  .tuple(TOKEN, BLANKS, VALUE, BLANKS)
  .map(([name, before, value, behind]) => `${name}:${before}${value}${behind}`);

/** Lines that change where a message ends or what becomes of its connection, as attacks write them. */
const FRAMING = fc.constantFrom(
  'Content-Length: 3',
  'Content-Length: +3',
  'Content-Length: 3, 3',
  'Content-Length: 0003',
  'Content-Length : 3',
  'Content-Length: 0x3',
  'content-length:',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding:\x0bchunked',
  'X: y\nTransfer-Encoding: chunked',
  'X: y\rContent-Length: 3',
  ' Transfer-Encoding: chunked',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: Transfer-Encoding',
  'Proxy-Connection: close',
  'Expect: 100-continue',
  'Upgrade: h2c',
  'Host: other',
  'Trailer: a',
);

interface Message {
  readonly first: string;
  readonly lines: readonly string[];
  readonly body: string;
}

const textOf = ({ first, lines, body }: Message): string => [first, ...lines, '', body].join('\r\n');
const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(arbitrary, { maxLength: 2 }) },
  );

const REQUEST_LINE = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom('POST /mcp HTTP/1.1', 'GET /a?b="{}|\\^` HTTP/1.1', 'DELETE //a HTTP/1.1'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'OPTIONS * HTTP/1.1',
      'GET http://a/ HTTP/1.1',
      'GET /#a HTTP/1.1',
      'POST / HTTP/1.0',
    ),
  },
);

/** A request whose length is that of its body, most times, and the lines in any order. */
const request = fc
  .tuple(REQUEST_LINE, fc.array(LINE, { maxLength: 4 }), rarely(FRAMING), BODY)
  .chain(([first, lines, framing, body]) => {
    const isPost = first.startsWith('POST');
    const own = ['Host: a', ...(isPost ? [`Content-Length: ${body.length}`] : [])];
    return fc
      .shuffledSubarray([...own, ...lines, ...framing], {
        minLength: own.length + lines.length + framing.length,
      })
      .map((shuffled) => textOf({ first, lines: shuffled, body: isPost ? body : '' }));
  });

const EXTENSION = fc.constantFrom('', '', '', '', ';a', ';a=b', ';a="b c"', ';;', ';a b');
const chunk = fc
  .tuple(fc.string({ minLength: 1, maxLength: 20, unit: 'binary-ascii' }), EXTENSION)
  .map(([text, extension]) => `${text.length.toString(16)}${extension}\r\n${text}\r\n`);
const chunkedBody = fc
  .tuple(fc.array(chunk, { maxLength: 3 }), rarely(LINE))
  .map(
    ([chunks, trailers]) => `${chunks.join('')}0\r\n${trailers.map((line) => `${line}\r\n`).join('')}\r\n`,
  );

const STATUS_LINE = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 202 ', 'HTTP/1.1 404', 'HTTP/1.1 799 \xe4'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'HTTP/1.0 200 OK',
      'HTTP/1.1 204 No',
      'HTTP/1.1 304 N',
      'HTTP/1.1 101 S',
      'HTTP/2 200 OK',
    ),
  },
);

const framedBody = fc.oneof(
  BODY.map((body) => ({ own: [`Content-Length: ${body.length}`], body })),
  chunkedBody.map((body) => ({ own: ['Transfer-Encoding: chunked'], body })),
  { weight: 1, arbitrary: BODY.map((body) => ({ own: [] as string[], body })) },
);

const interim = fc.constantFrom(
  '',
  '',
  '',
  '',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 103 E\r\nLink: a\r\n\r\n',
);

const answer = fc
  .tuple(interim, STATUS_LINE, fc.array(LINE, { maxLength: 4 }), rarely(FRAMING), framedBody)
  .chain(([before, first, lines, framing, { own, body }]) => {
    const all = [...own, ...lines, ...framing, 'Date: Sun, 06 Nov 1994 08:49:37 GMT'];
    return fc
      .shuffledSubarray(all, { minLength: all.length })
      .map((shuffled) => before + textOf({ first, lines: shuffled, body }));
  });

const CUTTING = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  '0',
  '1',
  'a',
  '\x7f',
  '\xff',
  ',',
  '\r\n\r\n',
];

interface Change {
  readonly at: number;
  readonly removed: number;
  readonly put: string;
}

const change = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  removed: fc.nat({ max: 2 }),
  put: fc.constantFrom('', ...CUTTING),
});

const changed = (text: string, changes: readonly Change[]): string =>
  changes.reduce((before, { at, removed, put }) => {
    const index = Math.floor(at * before.length);
    return before.slice(0, index) + put + before.slice(index + removed);
  }, text);

/** As it is in most runs, else with a few bytes changed. */
export const mutated = (text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> =>
  fc.tuple(text, rarely(change)).map(([before, changes]) => Buffer.from(changed(before, changes), 'latin1'));

/** Several requests of one connection, behind each other. */
export const requestBytes = mutated(
  fc.array(request, { minLength: 1, maxLength: 3 }).map((all) => all.join('')),
);
export const answerBytes = mutated(answer);
export const requestHeads = mutated(request);

/** The same bytes in pieces. */
export const cut = (bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<readonly Buffer[]> =>
  fc
    .tuple(bytes, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }))
    .map(([whole, places]) => {
      const cuts = [
        0,
        ...places.map((place) => Math.floor(place * whole.length)).toSorted((a, b) => a - b),
        whole.length,
      ];
      return cuts
        .slice(1)
        .map((end, index) => whole.subarray(cuts[index], end))
        .filter((piece) => piece.length > 0);
    });
