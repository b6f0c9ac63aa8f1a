/**
 * Brings a real Kafka broker from Maven Central into .cache/kafka: `node --import tsx test/support/kafka/install.ts`.
 * Needs Java 17 or newer and Maven; done once, then from the cache. Fails with exit 1 and one line that says why.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const KAFKA_VERSION = '4.4.0';
const LOG4J_VERSION = '2.24.3';
const RESOLVE_TIMEOUT_MS = 300_000;
const MIN_JAVA = 17;

export const CACHE_DIR = join(dirname(fileURLToPath(import.meta.url)), '../../../.cache/kafka');
const LIB_DIR = join(CACHE_DIR, `lib-${KAFKA_VERSION}`);

export type BrokerJars =
  { readonly kind: 'ready'; readonly libDir: string } | { readonly kind: 'absent'; readonly reason: string };

/** Jars of the broker, resolved where they are not in the cache yet. Never throws: the suites say why they cannot run. */
export async function brokerJars(): Promise<BrokerJars> {
  const java = await javaMajor();
  if (java === undefined || java < MIN_JAVA)
    return { kind: 'absent', reason: `a Kafka broker needs Java ${MIN_JAVA}+ (found: ${java ?? 'none'})` };
  if (existsSync(LIB_DIR)) return { kind: 'ready', libDir: LIB_DIR };
  try {
    await resolve();
    return { kind: 'ready', libDir: LIB_DIR };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { kind: 'absent', reason: `Maven could not resolve the broker: ${text.slice(0, 400)}` };
  }
}

async function javaMajor(): Promise<number | undefined> {
  try {
    const { stderr } = await run('java', ['-version']);
    const major = /version "(\d+)/.exec(stderr)?.[1];
    return major === undefined ? undefined : Number(major);
  } catch {
    return undefined;
  }
}

async function resolve(): Promise<void> {
  await mkdir(CACHE_DIR, { recursive: true });
  // Moved into place when whole: a run that was cut off leaves nothing that looks ready.
  const partDir = join(CACHE_DIR, `part-${process.pid}`);
  await rm(partDir, { recursive: true, force: true });
  await mkdir(partDir, { recursive: true });
  await writeFile(join(partDir, 'pom.xml'), pom());
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.11.0';
  const maven = (args: string[]) =>
    run('mvn', ['-q', '-B', ...args], {
      cwd: partDir,
      timeout: RESOLVE_TIMEOUT_MS,
      maxBuffer: 16 * 1024 * 1024,
    });
  await maven([`${goal}:copy-dependencies`, '-DincludeScope=runtime', '-DoutputDirectory=lib']);
  const jars = await readdir(join(partDir, 'lib'));
  for (const jar of jars)
    if (/^(slf4j-reload4j|slf4j-log4j12|logback-classic|log4j-slf4j)/.test(jar))
      await rm(join(partDir, 'lib', jar));
  const api = jars.find((jar) => jar.startsWith('slf4j-api-'));
  const binding = api?.startsWith('slf4j-api-1.') === true ? 'log4j-slf4j-impl' : 'log4j-slf4j2-impl';
  await maven([
    `${goal}:copy`,
    `-Dartifact=org.apache.logging.log4j:${binding}:${LOG4J_VERSION}`,
    '-DoutputDirectory=lib',
  ]);
  await rename(join(partDir, 'lib'), LIB_DIR);
  await rm(partDir, { recursive: true, force: true });
}

function pom(): string {
  const dependency = (group: string, artifact: string, version: string): string =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependency('org.apache.kafka', 'kafka_2.13', KAFKA_VERSION)}
${dependency('org.apache.logging.log4j', 'log4j-api', LOG4J_VERSION)}
${dependency('org.apache.logging.log4j', 'log4j-core', LOG4J_VERSION)}</dependencies></project>
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const jars = await brokerJars();
  switch (jars.kind) {
    case 'ready':
      console.log(`Kafka ${KAFKA_VERSION}: ${jars.libDir}`);
      break;
    case 'absent':
      console.error(`No Kafka broker: ${jars.reason}`);
      process.exitCode = 1;
      break;
  }
}
