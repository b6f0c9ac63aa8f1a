/**
 * What is read of an OTLP request, whatever its encoding. The sender controls every value; sizes and counts are bounded
 * where the bytes are read (wire/), so nothing here is larger than the request.
 */
export type AttributeValue =
  string | number | boolean | null | readonly AttributeValue[] | { readonly [name: string]: AttributeValue };

export type Attributes = ReadonlyMap<string, AttributeValue>;

export const NO_ATTRIBUTES: Attributes = new Map();

interface Origin {
  readonly resource: Attributes;
  /** Name of the instrumentation scope. */
  readonly scope: string;
}

export interface OtlpSpan extends Origin {
  /** 32 lower-case hex digits, not all zeros. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zeros. */
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** Unix ns. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Attributes;
  readonly failed: boolean;
  readonly statusMessage: string;
  /** `exception.message` of the last exception event, empty where there is none. */
  readonly exceptionMessage: string;
}

export interface OtlpLog extends Origin {
  /** Unix ns; when it was observed, where no time of its own was given. */
  readonly timeNs: bigint;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly eventName: string;
  readonly body: AttributeValue;
  readonly attributes: Attributes;
}

/** A span or log record that is not taken, and why: goes into partialSuccess and dead letters. */
export interface RefusedItem {
  readonly index: number;
  /** Safe to show: names the field, never a value. */
  readonly reason: string;
  readonly raw: Uint8Array;
}

export interface Decoded<Item> {
  readonly items: readonly Item[];
  readonly refused: readonly RefusedItem[];
}

/** Members of a request that are counted while they are read. */
export interface DecodeLimits {
  /** Spans or log records of one request. */
  readonly maxItems: number;
}

/** Attribute values of one request, nested ones included. */
export const MAX_VALUES = 400_000;
/** Nesting of attribute values. */
export const MAX_VALUE_DEPTH = 16;

/** Unix ns as Unix ms. An unsigned 64-bit number of ns ends in the year 2554, which every date takes. */
export const msOf = (ns: bigint): number => Number(ns / 1_000_000n);

const ZEROS = /^0*$/;

/** Lower-case hex of the right length that is not all zeros; undefined for anything else. */
export function idOf(hex: string, digits: 16 | 32): string | undefined {
  if (hex.length !== digits || !/^[0-9a-fA-F]*$/.test(hex) || ZEROS.test(hex)) return undefined;
  return hex.toLowerCase();
}
