/** A thread of the verifier: blocks of rows in, what can be told of each alone out. It keeps nothing but what it was begun with. */
import type { MessagePort } from 'node:worker_threads';
import { BatchSignatures } from '../evidence/batch-signature.ts';
import type { Depth } from '../evidence/depth.ts';
import { findInBlock, type FoundBlock } from '../evidence/find-block.ts';
import { classMappings, type ClassMappingVersion } from '../evidence/projection.ts';
import { nodeCrypto } from '../platform/ledger/crypto.ts';

export type WorkerTask =
  | {
      readonly kind: 'begin';
      readonly mappings: readonly { readonly version: string; readonly body: string }[];
    }
  | { readonly kind: 'find'; readonly bytes: Uint8Array<ArrayBuffer>; readonly depth: Depth };

export interface WorkerAnswer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly found: FoundBlock | undefined;
}

/** Answers each `find`, in order, on the port that it came by. An error ends the thread. */
export function answerBlocks(port: MessagePort): void {
  const signatures = new BatchSignatures(nodeCrypto);
  let mappings: ReadonlyMap<string, ClassMappingVersion> = new Map();
  port.on('message', (task: WorkerTask) => {
    switch (task.kind) {
      case 'begin':
        mappings = classMappings(task.mappings, nodeCrypto.sha256);
        return;
      case 'find': {
        const { bytes, depth } = task;
        const found = findInBlock(bytes, { crypto: nodeCrypto, mappings, signatures, depth });
        port.postMessage({ bytes, found } satisfies WorkerAnswer, [bytes.buffer, ...buffersOf(found)]);
      }
    }
  });
}

/** Handed over and not copied. */
function buffersOf(found: FoundBlock | undefined): ArrayBuffer[] {
  if (found === undefined) return [];
  const { tables, entries, findings } = found;
  const places = tables.flatMap(({ idx, from, to }) => [idx, from, to]);
  const all = [
    ...places,
    entries.idx,
    ...entries.first,
    ...Object.values(findings),
  ] as Uint8Array<ArrayBuffer>[];
  return [...new Set(all.map(({ buffer }) => buffer))].filter(({ byteLength }) => byteLength > 0);
}
