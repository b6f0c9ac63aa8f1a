/** A file as chunks, with a breath between them: the page paints its progress, and can be stopped. */
export interface SourceProgress {
  readonly readBytes: number;
  readonly totalBytes: number;
}

const GZIP_MAGIC = [0x1f, 0x8b] as const;
const BREATHE_EVERY_MS = 50;

export async function* chunksOf(
  file: Blob,
  onProgress: (progress: SourceProgress) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let readBytes = 0;
  let breathedMs = performance.now();
  const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform: (chunk, controller) => {
      readBytes += chunk.length;
      controller.enqueue(chunk);
    },
  });
  const raw = file.stream().pipeThrough(counted);
  const plain = (await isGzip(file)) ? raw.pipeThrough(new DecompressionStream('gzip')) : raw;
  const reader = plain.getReader();
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
      if (performance.now() - breathedMs < BREATHE_EVERY_MS) continue;
      onProgress({ readBytes, totalBytes: file.size });
      await new Promise((resolve) => setTimeout(resolve));
      breathedMs = performance.now();
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function isGzip(file: Blob): Promise<boolean> {
  const head = new Uint8Array(await file.slice(0, GZIP_MAGIC.length).arrayBuffer());
  return GZIP_MAGIC.every((byte, at) => head[at] === byte);
}
