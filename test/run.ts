/**
 * Runs test files with node:test. `npm test` takes *.test.ts without *.full.test.ts; `--full` takes only the full ones.
 * Arguments are path prefixes that narrow the choice. Fails when a test fails, and also when nothing ran: no file found,
 * or a file without a test of its own (a suite that looked at nothing must not pass).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = resolve(import.meta.dirname, '..');
const full = process.argv.includes('--full');
const prefixes = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const FILE_TIMEOUT_MS = full ? 20 * 60_000 : 5 * 60_000;

function testFiles(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    if (!entry.name.endsWith('.test.ts') || entry.name.endsWith('.full.test.ts') !== full) return [];
    const name = relative(root, path);
    return prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix)) ? [path] : [];
  });
}

const files = testFiles(join(root, 'test')).toSorted();
if (files.length === 0) {
  process.stderr.write('no test file was found\n');
  process.exit(1);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
/** Tests by the module that holds them: a test file, or a contract that several test files import. */
const ranPerModule = new Map<string, number>();
const failures: string[] = [];

interface Verdict {
  readonly name: string;
  readonly file?: string | undefined;
  readonly skip?: string | boolean | undefined;
  readonly details: { readonly type?: string | undefined };
}

function count(data: Verdict, passed: boolean): void {
  if (!passed) failures.push(`${data.file === undefined ? '' : relative(root, data.file)}: ${data.name}`);
  const isFile = data.name === data.file || files.includes(resolve(root, data.name));
  if (data.details.type === 'suite' || (isFile && passed)) return;
  counts[kindOf(data, passed)] += 1;
  if (data.file !== undefined && !isFile) ranPerModule.set(data.file, (ranPerModule.get(data.file) ?? 0) + 1);
}

function kindOf(data: Verdict, passed: boolean): keyof typeof counts {
  if (data.skip !== undefined && data.skip !== false) return 'skipped';
  return passed ? 'passed' : 'failed';
}

/** The file itself and the modules beside it that it imports. */
function modulesOf(file: string): string[] {
  const imports = readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)'/g);
  return [file, ...[...imports].map((match) => resolve(file, '..', match[1] ?? ''))];
}

// One more than there are processors: a good part of the files waits for other processes and for clocks.
const CONCURRENCY = full ? 1 : availableParallelism() + 1;
const stream = run({ files, concurrency: CONCURRENCY, timeout: FILE_TIMEOUT_MS });
stream.on('test:pass', (data) => count(data, true));
stream.on('test:fail', (data) => count(data, false));
stream.compose(new spec()).pipe(process.stdout);
stream.on('end', () => {
  // After the reporter's own last lines.
  setTimeout(() => {
    const silent = files
      .filter((file) => !modulesOf(file).some((path) => ranPerModule.has(path)))
      .map((file) => relative(root, file));
    for (const failure of failures) process.stdout.write(`FAILED ${failure}\n`);
    for (const file of silent) process.stdout.write(`RAN NOTHING ${file}\n`);
    process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
    process.exitCode = failures.length > 0 || silent.length > 0 || counts.passed === 0 ? 1 : 0;
  }, 200);
});
