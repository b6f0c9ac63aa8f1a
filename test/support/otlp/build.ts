/** OTLP/JSON requests from plain objects, as the JavaScript exporters write them. */
export type Plain = string | number | boolean | readonly Plain[] | { readonly [name: string]: Plain };

export interface PlainSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name?: string;
  readonly startMs?: number;
  readonly endMs?: number;
  readonly attributes?: Readonly<Record<string, Plain>>;
  readonly error?: string;
}

export function anyValue(value: Plain): Record<string, unknown> {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number')
    return Number.isInteger(value) ? { intValue: value } : { doubleValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.map((item: Plain) => anyValue(item)) } };
  return { kvlistValue: { values: keyValues(value as Readonly<Record<string, Plain>>) } };
}

export const keyValues = (values: Readonly<Record<string, Plain>>) =>
  Object.entries(values).map(([key, value]) => ({ key, value: anyValue(value) }));

export function spanJson({ startMs = 1000, endMs = 2000, ...span }: PlainSpan): Record<string, unknown> {
  const { traceId, spanId, parentSpanId, name = '', attributes = {}, error } = span;
  return {
    traceId,
    spanId,
    ...(parentSpanId === undefined ? {} : { parentSpanId }),
    name,
    kind: 1,
    startTimeUnixNano: `${startMs}000000`,
    endTimeUnixNano: `${endMs}000000`,
    attributes: keyValues(attributes),
    status: error === undefined ? { code: 0 } : { code: 2, message: error },
  };
}

export interface TraceRequest {
  readonly resourceSpans: readonly {
    readonly resource?: unknown;
    readonly scopeSpans: readonly { readonly scope?: unknown; readonly spans: readonly unknown[] }[];
  }[];
}

export function traceRequest(
  spans: readonly PlainSpan[],
  { resource = {}, scope = 'test' }: { resource?: Readonly<Record<string, Plain>>; scope?: string } = {},
): TraceRequest {
  return {
    resourceSpans: [
      {
        resource: { attributes: keyValues(resource) },
        scopeSpans: [{ scope: { name: scope }, spans: spans.map(spanJson) }],
      },
    ],
  };
}

export function logRequest(
  records: readonly {
    readonly timeMs: number;
    readonly body: string;
    readonly attributes: Record<string, Plain>;
  }[],
  resource: Readonly<Record<string, Plain>> = {},
): unknown {
  return {
    resourceLogs: [
      {
        resource: { attributes: keyValues(resource) },
        scopeLogs: [
          {
            scope: { name: 'com.anthropic.claude_code.events' },
            logRecords: records.map(({ timeMs, body, attributes }) => ({
              timeUnixNano: `${timeMs}000000`,
              body: { stringValue: body },
              attributes: keyValues(attributes),
            })),
          },
        ],
      },
    ],
  };
}

/** 32 hex digits of a short name. */
export const traceIdOf = (name: string): string =>
  Buffer.from(name).toString('hex').padEnd(32, '0').slice(0, 32);
export const spanIdOf = (name: string): string =>
  Buffer.from(name).toString('hex').padEnd(16, '0').slice(0, 16);
