/**
 * The matcher beside Esper and Flink CEP, over the same rules and events, one after another: `node --import tsx
 * test/bench/peers/compare.ts [RULES] [KEYS] [EVENTS]`. Not part of the benchmarks or tests: it needs Java 17, Maven and
 * Maven Central, and is told apart by policy: Esper and Flink follow every start, we and the bare loop the latest one
 * (which ends at the same calls). One object a line; the first line of ours and of Esper warms up.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Engine } from '../../../detectors/engine/engine.ts';
import {
  BUDGET,
  compiledRules,
  cpuSeconds,
  eventsOf,
  runEngine,
  runSlab,
  timeAt,
  workload,
  type Workload,
} from '../matcher-workload.ts';

const run = promisify(execFile);
const HERE = import.meta.dirname;
const CACHE = join(HERE, '../../../.cache/peers');
const PASSES = 3;
const PEER_TIMEOUT_MS = 900_000;
/** Flink asks for reflection into the JDK where it copies objects. */
const JAVA_OPTIONS = [
  '-Xmx6g',
  '--add-opens=java.base/java.util=ALL-UNNAMED',
  '--add-opens=java.base/java.lang=ALL-UNNAMED',
];

async function build(): Promise<string> {
  await mkdir(join(CACHE, 'classes'), { recursive: true });
  await copyFile(join(HERE, 'pom.xml'), join(CACHE, 'pom.xml'));
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies';
  await run('mvn', ['-q', '-B', goal, '-DincludeScope=runtime', '-DoutputDirectory=lib'], { cwd: CACHE });
  const classpath = [join(CACHE, 'classes'), join(CACHE, 'lib', '*')].join(delimiter);
  const sources = (await readdir(join(HERE, 'java'))).map((name) => join(HERE, 'java', name));
  await run('javac', ['-nowarn', '-cp', classpath, '-d', join(CACHE, 'classes'), ...sources]);
  return classpath;
}

async function writeWorkload(dir: string, load: Workload): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'rules.tsv'), load.rules.map((steps) => steps.join('\t')).join('\n'));
  const lines = Array.from(load.tools, (tool, at) => `${load.keys[at]}\t${timeAt(at)}\t${tool}`);
  await writeFile(join(dir, 'events.tsv'), lines.join('\n'));
}

function measure(engine: string, events: number, act: () => number): void {
  const [cpu, wallMs] = [cpuSeconds(), performance.now()];
  const matches = act();
  const line = {
    engine,
    eventsPerCpuSecond: Math.round(events / (cpuSeconds() - cpu)),
    eventsPerSecond: Math.round((events * 1000) / (performance.now() - wallMs)),
    matches,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main([rules = '100', keys = '20000', events = '1000000']: readonly string[]): Promise<void> {
  const load = workload(Number(rules), Number(keys), Number(events));
  const classpath = await build();
  const dir = join(CACHE, 'workload');
  await writeWorkload(dir, load);
  for (const peer of ['EsperPeer', 'FlinkPeer']) {
    const { stdout } = await run('java', [...JAVA_OPTIONS, '-cp', classpath, peer, dir], {
      timeout: PEER_TIMEOUT_MS,
    });
    process.stdout.write(stdout);
  }
  const slab = new Float64Array(load.rules.length * 2 * Number(keys));
  for (let pass = 0; pass < PASSES; pass++)
    measure('bare_loop', load.tools.length, () => runSlab(load, slab, pass * load.tools.length));
  const parsed = eventsOf(load);
  const engine = new Engine(compiledRules(load.rules), BUDGET);
  for (let pass = 0; pass < PASSES; pass++)
    measure('tripline', load.tools.length, () => runEngine(engine, parsed, pass * load.tools.length));
}

await main(process.argv.slice(2));
