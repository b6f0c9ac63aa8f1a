/** The page: a bundle in, a report out. No request is made, by the page's own policy too. */
import { config } from 'zod';
import { checkEd25519PublicKey } from '../../../schemas/control/key.ts';
import { isTriplineError } from '../../../schemas/errors.ts';
import { fromBase64 } from '../../../services/evidence/bytes.ts';
import type { VerifyReport } from '../../../services/evidence/report.ts';
import { parseCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import { parsePolicy } from '../../../services/evidence/tlog/policy.ts';
import { verifyBundle, type VerifyOptions } from '../../../services/evidence/verify.ts';
import { visible } from '../../../services/evidence/visible.ts';
import { chunksOf, type SourceProgress } from './bundle-source.ts';
import { browserCrypto } from './crypto.ts';
import { filesOf, sorted, type Dropped } from './dropped.ts';
import { element, resultOf } from './result.ts';

// The page's policy forbids code that is made of text.
config({ jitless: true });

function need<Kind extends HTMLElement>(id: string, kind: abstract new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new TypeError(`no element ${id}`);
  return found;
}

const page = {
  form: need('again', HTMLButtonElement).form,
  drop: need('drop', HTMLLabelElement),
  picker: need('bundle', HTMLInputElement),
  policy: need('policy', HTMLTextAreaElement),
  key: need('key', HTMLInputElement),
  checkpoint: need('checkpoint', HTMLTextAreaElement),
  again: need('again', HTMLButtonElement),
  stop: need('stop', HTMLButtonElement),
  progress: need('progress', HTMLElement),
  result: need('result', HTMLElement),
};

let bundle: File | undefined;
let running: AbortController | undefined;

class TrustFault extends Error {}

function readTrust(): Pick<VerifyOptions, 'policy' | 'publicKeys' | 'keptCheckpoint'> {
  const policy = page.policy.value.trim();
  const key = page.key.value.trim();
  const kept = page.checkpoint.value.trimStart();
  return {
    ...(policy === '' ? {} : { policy: parsePolicy(`${policy}\n`, browserCrypto.sha256) }),
    ...(key === '' ? {} : { publicKeys: [readKey(key)] }),
    ...(kept === '' ? {} : { keptCheckpoint: readKept(kept) }),
  };
}

function readKey(text: string): Uint8Array {
  const key = fromBase64(text);
  if (key === undefined || checkEd25519PublicKey(key) !== 'ok')
    throw new TrustFault('The key is no Ed25519 key in base64.');
  return key;
}

function readKept(text: string) {
  const checkpoint = parseCheckpoint(text.endsWith('\n') ? text : `${text}\n`);
  if (checkpoint === undefined) throw new TrustFault('The kept checkpoint is none.');
  return checkpoint;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

async function verify(): Promise<void> {
  if (bundle === undefined) return;
  running?.abort();
  const run = new AbortController();
  running = run;
  show([]);
  page.stop.hidden = false;
  const file = bundle;
  let entries = 0;
  const say = ({ readBytes, totalBytes }: SourceProgress): void => {
    const share = totalBytes === 0 ? 100 : Math.floor((readBytes * 100) / totalBytes);
    page.progress.textContent = `Checking ${visible(file.name)}: ${entries} entries, ${share} % of ${megabytes(totalBytes)}`;
  };
  const startedMs = performance.now();
  try {
    say({ readBytes: 0, totalBytes: file.size });
    const options = { ...readTrust(), onProgress: (checked: number) => (entries = checked) };
    const report = await verifyBundle(chunksOf(file, say, run.signal), browserCrypto, options);
    if (!run.signal.aborted) done(file, report, performance.now() - startedMs);
  } catch (error) {
    if (running === run) failed(error, run.signal.aborted);
  } finally {
    if (running === run) page.stop.hidden = true;
  }
}

function done(file: File, report: VerifyReport, elapsedMs: number): void {
  const seconds = elapsedMs / 1000;
  const rate = seconds > 0 ? Math.round(report.entries / seconds) : 0;
  page.progress.textContent = `Done: ${report.entries} entries in ${seconds.toFixed(1)} s, ${rate} a second.`;
  show(
    resultOf(report, [
      ['File', file.name],
      ['Size', megabytes(file.size)],
    ]),
  );
  page.result.dataset['verdict'] = report.verdict;
  page.result.focus();
}

function failed(error: unknown, isStopped: boolean): void {
  page.progress.textContent = isStopped ? 'Stopped: nothing was found out.' : 'It could not be checked.';
  if (isStopped) return;
  const title = element('h2', 'This could not be checked');
  title.className = 'danger';
  const text =
    error instanceof TrustFault || isTriplineError(error) ? error.message : 'The file cannot be read.';
  show([title, element('p', visible(text, 500))]);
  page.result.dataset['verdict'] = 'failed';
  page.result.focus();
}

function show(parts: readonly HTMLElement[]): void {
  page.result.replaceChildren(...parts);
  page.result.hidden = parts.length === 0;
  delete page.result.dataset['verdict'];
}

async function take({ bundle: file, policy }: Dropped): Promise<void> {
  if (policy !== undefined) page.policy.value = await policy.text();
  if (file === undefined) {
    page.progress.textContent =
      'That holds no bundle: a file that ends in .ndjson, .tripline or .gz, or a folder with one.';
    return;
  }
  bundle = file;
  page.again.disabled = false;
  await verify();
}

page.picker.addEventListener('change', () => void take(sorted([...(page.picker.files ?? [])])));
page.form?.addEventListener('submit', (event) => {
  event.preventDefault();
  void verify();
});
page.stop.addEventListener('click', () => running?.abort());
// The whole window takes a drop: what misses the box must not open in place of the page.
for (const type of ['dragenter', 'dragover', 'dragleave', 'drop'] as const)
  window.addEventListener(type, (event) => {
    event.preventDefault();
    page.drop.classList.toggle('over', type === 'dragenter' || type === 'dragover');
    if (type === 'drop' && event.dataTransfer !== null) void filesOf(event.dataTransfer).then(take);
  });
