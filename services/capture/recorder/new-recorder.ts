/** Recorder and drainer of a connection as its host is configured: where they spool, who signs, who they send to. */
import path from 'node:path';
import type { CaptureOptions, CaptureTimings } from '../capture-options.ts';
import { bootId, pidSpace, readProcess } from '../processes.ts';
import { randomHex } from '../random.ts';
import type { CaptureSettings } from '../settings.ts';
import { readAgentKey } from './agent-key.ts';
import { BatchSigner } from './batch-signer.ts';
import { Drainer } from './drain.ts';
import { ownerTag } from './owner.ts';
import { LineJournal } from './line-journal.ts';
import type { StreamJournal } from './line-parts.ts';
import { httpPublisher, type Publisher } from './publisher.ts';
import { Recorder, type RecorderOptions } from './recorder.ts';
import { Spool } from './spool.ts';

const REQUEST_TIMEOUT_MS = 15_000;
const SHARED_SOCKETS = 8;
const SEGMENT_BYTES = 4 * 1024 * 1024;

/** For all further connections of a process. */
export function sharedPublisher(address: CaptureSettings['address']): Publisher {
  return httpPublisher(address, REQUEST_TIMEOUT_MS, SHARED_SOCKETS);
}

function publisherOf({ shared, settings }: CaptureOptions): Publisher {
  return shared === undefined
    ? httpPublisher(settings.address, REQUEST_TIMEOUT_MS)
    : neverClosed(shared.publisher);
}

/** The connection to the service outlives this stream. */
function neverClosed(publisher: Publisher): Publisher {
  return {
    publish: (ndjson, prev, batches) => publisher.publish(ndjson, prev, batches),
    close: () => undefined,
  };
}

function spoolDirectory(settings: CaptureSettings): string {
  return path.join(settings.dataDir, 'spool');
}

function ownOwner(): string {
  return ownerTag({
    pid: process.pid,
    start: readProcess(process.pid)?.start ?? '',
    bootId: bootId(),
    pidSpace: pidSpace(),
  });
}

function journalOf({ follower, server, transport }: CaptureOptions, directory: string): StreamJournal {
  if (follower === undefined) return new LineJournal({ directory, server, transport });
  follower.directory = directory;
  return follower;
}

export function newDrainer({ settings, log }: CaptureOptions): Drainer {
  return new Drainer({
    directory: spoolDirectory(settings),
    owner: ownOwner(),
    publisher: () => httpPublisher(settings.address, REQUEST_TIMEOUT_MS),
    readProcess,
    bootId: bootId(),
    pidSpace: pidSpace(),
    nowMs: () => Date.now(),
    randomHex,
    boundary: settings.boundary?.mapping.value,
    log,
  });
}

export function newRecorder(
  options: CaptureOptions,
  session: string,
  timings: CaptureTimings,
  redact: RecorderOptions['redact'],
): Recorder {
  const { settings } = options;
  const stream = randomHex(16);
  const agentKey = readAgentKey(settings.agentKeyFile);
  const spool = new Spool({
    directory: spoolDirectory(settings),
    stream,
    owner: ownOwner(),
    fsync: settings.spoolFsync,
    maxBytes: settings.spoolMaxBytes,
    segmentBytes: SEGMENT_BYTES,
  });
  const signer =
    agentKey === undefined
      ? undefined
      : new BatchSigner({
          stream,
          agentKey,
          nowMs: () => Date.now(),
          sealAfterMs: timings.flushIntervalMs,
          keep: (batch) => spool.keepSignature(batch),
        });
  const journal = journalOf(options, spool.directory);
  return new Recorder({
    spool,
    journal,
    signer,
    publisher: publisherOf(options),
    identity: {
      stream,
      session,
      agent: settings.agent,
      principal: settings.principal,
      host: settings.host,
    },
    nowMs: () => Date.now(),
    randomHex,
    onSpoolFull: settings.onSpoolFull,
    flushIntervalMs: timings.flushIntervalMs,
    log: options.log,
    redact,
  });
}
