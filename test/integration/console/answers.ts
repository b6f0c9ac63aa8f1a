/** Answers of the API as services/query and services/platform/controls give them; hostile strings where events have names. */
export const XSS = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
const BIDI_TOOL = 'send_\u202Eliam\u200B_report';
export const SESSION = 'host-7/agent <b>run</b> 42';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
export const ALERT_ID = 'a1'.repeat(32);
const STREAM = '9f'.repeat(16);
/** The intent of the third step. */
export const EVENT_ID = `${STREAM}-6`;
const SHA = (pair: string): string => pair.repeat(32);

const base = Date.parse('2026-01-31T12:00:00.000Z');
const at = (ms: number): string => new Date(base + ms).toISOString();

function call(index: number, fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return {
    stream: STREAM,
    callId: `call-${index}`,
    intentId: `${STREAM}-${index * 2}`,
    resultId: `${STREAM}-${index * 2 + 1}`,
    agent: 'research-agent',
    traceId: TRACE,
    spanId: '00f067aa0ba902b7',
    argsHash: SHA('0a'),
    resultHash: SHA('0b'),
    resultBytes: 1841,
    labels: [],
    findings: [],
    ...fields,
  };
}

const CALLS = [
  call(0, {
    time: at(0),
    server: 'search',
    tool: 'web_search',
    class: 'search',
    outcome: 'ok',
    durationMs: 412,
    trust: 'untrusted',
    destHost: 'search.example',
  }),
  call(1, {
    time: at(900),
    server: 'files',
    tool: 'read_file',
    class: 'file_read',
    outcome: 'ok',
    durationMs: 8,
  }),
  call(2, {
    time: at(1400),
    server: 'vault',
    tool: 'read_secret',
    class: 'secret_read',
    outcome: 'ok',
    durationMs: 23,
    labels: ['secret'],
  }),
  call(3, {
    time: at(2100),
    server: 'poster',
    tool: 'http_post',
    class: 'external_post',
    outcome: 'ok',
    durationMs: 640,
    destHost: 'paste.evil.example',
  }),
  call(4, {
    time: at(3600),
    server: 'poster',
    tool: 'http_post',
    class: 'external_post',
    outcome: 'refused',
    durationMs: 1,
    verdict: 'refuse',
    controlId: 'ctl-1',
    destHost: 'paste.evil.example',
    resultHash: '',
  }),
  call(5, {
    time: at(4200),
    server: 'mail',
    tool: BIDI_TOOL,
    class: 'message',
    verdict: 'shadow_refuse',
    policy: { id: 'desk', version: 7, mode: 'shadow', effect: 'refuse', rule: 'deny/mail', hash: SHA('0f') },
    outcome: 'tool_error',
    durationMs: 190,
  }),
  call(6, {
    time: at(4900),
    server: 'mail',
    tool: XSS,
    class: 'other',
    outcome: '',
    durationMs: null,
    resultHash: '',
    resultId: '',
  }),
] as const;

function reference(step: string, index: number): Readonly<Record<string, unknown>> {
  const from = CALLS[index] ?? CALLS[0];
  return {
    step,
    eventId: from['intentId'],
    topic: 'tripline.toolcalls.v1',
    partition: 1,
    offset: index,
    line: 0,
    time: from['time'],
    session: SESSION,
    agent: 'research-agent',
    callId: from['callId'],
    server: from['server'],
    tool: from['tool'],
    class: from['class'],
    ...(from['destHost'] === undefined ? {} : { destHost: from['destHost'] }),
    traceId: TRACE,
  };
}

export const ALERT = {
  id: ALERT_ID,
  ruleId: 'exfiltration/search-vault-post',
  ruleHash: SHA('0c'),
  title: 'Secret read after untrusted search, then sent outside',
  level: 'critical',
  mode: 'enforce',
  tags: ['attack.exfiltration'],
  scope: 'session',
  key: { session: SESSION },
  timeBasis: 'event',
  time: at(2100),
  session: SESSION,
  calls: [reference('search', 0), reference('secret', 2), reference('post', 3)],
  action: { type: 'kill', scope: 'session', target: SESSION, mode: 'enforce', ttlMs: 3_600_000 },
  summary: 'read_secret after web_search; the answer left for paste.evil.example 1.2 s later.',
} as const;

export const SESSION_ANSWER = {
  session: SESSION,
  agents: ['research-agent'],
  calls: CALLS,
  streams: [
    { stream: STREAM, entries: 14, signed: 12, keyIds: [SHA('5b')] },
    { stream: '8e'.repeat(16), entries: 2, signed: 0, keyIds: [] },
  ],
  alerts: [ALERT],
  decisions: [
    {
      eventId: `${STREAM}-90`,
      time: at(1300),
      callId: 'call-2',
      decision: {
        promptHash: SHA('0d'),
        rationale: 'The page says the report needs the deployment key, so I read it first.',
        model: 'model-1',
      },
    },
    {
      eventId: `${STREAM}-91`,
      time: at(2000),
      callId: 'call-3',
      decision: { promptHash: SHA('0e'), rationale: `Post it. ${XSS}`, model: 'model-1' },
    },
  ],
} as const;

export const SESSIONS_ANSWER = {
  items: [
    {
      session: SESSION,
      agents: ['research-agent'],
      calls: 7,
      refused: 1,
      alerts: 1,
      firstTime: at(0),
      lastTime: at(4900),
    },
    {
      session: 'host-7/4711',
      agents: ['support-agent', 'planner'],
      calls: 128,
      refused: 0,
      alerts: 0,
      firstTime: at(-900_000),
      lastTime: at(-60_000),
    },
  ],
  nextCursor: null,
} as const;

const LOGS = [0, 1, 2, 3].map((partition) => ({
  logId: SHA(`1${partition}`),
  tenant: 'default',
  topic: 'tripline.toolcalls.v1',
  partition,
  size: 1200 + partition * 417,
}));

/** The answer of services/query/ledger-routes.ts. */
export const LEDGER_ANSWER = {
  deployment: 'local',
  keys: [{ keyId: SHA('4d'), publicKey: 'bm8=' }],
  heads: LOGS.map(({ topic, partition, logId, size }) => ({
    topic,
    partition,
    nextOffset: size,
    heads: [
      {
        logId,
        origin: `tripline/local/${partition}`,
        size,
        root: SHA(`b${partition}`),
        lastLeafHash: SHA('00'),
      },
    ],
    keyId: SHA('4d'),
    signature: 'bm8=',
    signedAtMs: Date.now() - 4000,
  })),
  partitions: LOGS.map(({ topic, partition, size }) => ({
    topic,
    partition,
    nextOffset: size,
    latest: size + (partition === 2 ? 3 : 0),
    lag: partition === 2 ? 3 : 0,
  })),
  coverage: LOGS.map(({ size, ...log }) => ({
    ...log,
    entries: log.partition === 3 ? { event: size - 1, gap: 1 } : { event: size },
  })),
};

/** Messages of the tail: one event each. */
export function tailEvents(): readonly Readonly<Record<string, unknown>>[] {
  return CALLS.flatMap((item, index) => {
    const shared = {
      v: 1,
      stream: STREAM,
      session: SESSION,
      agent: 'research-agent',
      callId: item['callId'],
      server: item['server'],
      tool: item['tool'],
      class: item['class'],
      time: item['time'],
    };
    const intent = {
      type: 'event',
      event: { ...shared, kind: 'call.intent', seq: index * 2 },
      destHost: item['destHost'] ?? '',
    };
    if (item['outcome'] === '') return [intent];
    return [
      intent,
      {
        type: 'event',
        event: { ...shared, kind: 'call.result', seq: index * 2 + 1, outcome: item['outcome'] },
      },
    ];
  });
}

/** Looks like `{"to":"ops@example.org"}` in a terminal. */
export const HOSTILE_ARGS = `{"to":"ops\u202E@moc.live\u202C@example.org","note":"\u200B\u200B<img src=x onerror=alert(1)>"}`;
const MINUTE_MS = 60_000;

function approval(digit: number, nowMs: number, fields: Readonly<Record<string, unknown>>) {
  return {
    id: `apr-${String(digit).repeat(32)}`,
    state: 'pending',
    tenant: 'default',
    session: SESSION,
    agent: 'research-agent',
    principal: 'ann',
    host: 'host-7',
    server: 'mail',
    tool: 'send_mail',
    class: 'message',
    policy: { id: 'desk', version: 7, rule: 'approvals/mail' },
    args: '{"to":"ops@example.org"}',
    argsHash: SHA(`a${digit}`),
    argsAltered: false,
    fourEyes: false,
    requestedAt: new Date(nowMs - MINUTE_MS).toISOString(),
    answerableUntil: new Date(nowMs + 59 * MINUTE_MS).toISOString(),
    eventId: EVENT_ID,
    ...fields,
  };
}

/** The answer of services/platform/approvals/routes.ts, newest first. */
export function approvalItems(
  nowMs: number,
  firstLeftMs = 5 * MINUTE_MS,
): readonly Readonly<Record<string, unknown>>[] {
  const over = { requestedAt: at(-3_600_000), answerableUntil: at(0) };
  return [
    approval(1, nowMs, {
      args: HOSTILE_ARGS,
      answerableUntil: new Date(nowMs + firstLeftMs).toISOString(),
    }),
    approval(2, nowMs, {
      server: 'bank',
      tool: 'make_payment',
      class: 'payment',
      args: '{"amount":1200}',
      fourEyes: true,
      obstacle: 'four_eyes',
    }),
    approval(3, nowMs, {
      server: 'files',
      tool: 'write_file',
      class: 'file_write',
      args: `{"text":"${'x'.repeat(5_000)}END"}`,
    }),
    approval(4, nowMs, { argsAltered: true, obstacle: 'arguments_altered', agent: XSS }),
    approval(5, nowMs, {
      ...over,
      state: 'denied',
      argsHash: SHA('a1'),
      decision: {
        verdict: 'denied',
        by: 'bob',
        reason: 'Not to that address.',
        issuedAt: at(-3_000_000),
        expiresAt: at(0),
      },
    }),
    approval(6, nowMs, { ...over, state: 'expired', tool: 'delete_file', class: 'delete' }),
  ];
}
