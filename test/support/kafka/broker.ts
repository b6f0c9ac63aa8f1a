/** A real single-node Kafka broker (KRaft) as a child process, ended by its pid. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { brokerJars } from './install.ts';

const run = promisify(execFile);
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

export interface BrokerOptions {
  /** Configuration, logs and data; kept between starts. */
  readonly dir: string;
  /** Client port; a free one when absent. */
  readonly port?: number;
  /** Port that clients are told to use: that of a proxy in front. Default: the client port. */
  readonly advertisedPort?: number;
}

export interface Broker {
  readonly port: number;
  pid(): number | undefined;
  /** SIGTERM, then SIGKILL after 30 s. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts again on the same data and port; resolves when the port answers. */
  start(): Promise<void>;
}

/** The reason why no broker can be had, or undefined. With CI=true that is an error. */
export async function brokerMissing(): Promise<string | undefined> {
  const jars = await brokerJars();
  if (jars.kind === 'ready') return undefined;
  console.error(`KAFKA SUITE NOT RUN: ${jars.reason}`);
  if (process.env['CI'] === 'true') throw new Error(`no Kafka broker: ${jars.reason}`);
  return jars.reason;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const jars = await brokerJars();
  if (jars.kind === 'absent') throw new Error(jars.reason);
  const port = options.port ?? (await freePort());
  const home = {
    dir: options.dir,
    libDir: jars.libDir,
    port,
    advertisedPort: options.advertisedPort ?? port,
  };
  await prepare(home, await freePort());
  let child = await launch(home);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  };
  return {
    port,
    pid: () => child.pid,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    start: async () => {
      child = await launch(home);
    },
  };
}

interface Home {
  readonly dir: string;
  readonly libDir: string;
  readonly port: number;
  readonly advertisedPort: number;
}

async function prepare(home: Home, controllerPort: number): Promise<void> {
  const data = join(home.dir, 'data');
  await mkdir(data, { recursive: true });
  if (existsSync(join(data, 'meta.properties'))) return;
  await writeFile(join(home.dir, 'server.properties'), properties(home, controllerPort, data));
  await writeFile(join(home.dir, 'log4j2.properties'), LOGGING);
  const tool = ['-cp', `${home.libDir}/*`, logging(home), 'kafka.tools.StorageTool'];
  const { stdout } = await run('java', [...tool, 'random-uuid']);
  const clusterId = stdout.trim().split('\n').at(-1) ?? '';
  const config = join(home.dir, 'server.properties');
  await run('java', [...tool, 'format', '--cluster-id', clusterId, '--config', config, '--ignore-formatted']);
}

async function launch(home: Home): Promise<ChildProcess> {
  if (await answers(home.port)) throw new Error(`port ${home.port} is taken`);
  const child = spawn(
    'java',
    [
      '-Xms384m',
      '-Xmx384m',
      '-server',
      '-XX:+UseG1GC',
      '-Djava.awt.headless=true',
      logging(home),
      `-Dkafka.logs.dir=${home.dir}`,
      '-cp',
      `${home.libDir}/*`,
      'kafka.Kafka',
      join(home.dir, 'server.properties'),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const output = createWriteStream(join(home.dir, 'broker.log'), { flags: 'a' });
  child.stdout.pipe(output);
  child.stderr.pipe(output);
  // A test that dies takes its broker with it.
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithUs);
  child.once('exit', () => process.removeListener('exit', endWithUs));
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(home.port))) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL');
      const log = await readFile(join(home.dir, 'broker.log'), 'utf8').catch(() => '');
      throw new Error(`the broker did not start:\n${log.split('\n').slice(-40).join('\n')}`);
    }
    await sleep(100);
  }
  return child;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function logging(home: Home): string {
  return `-Dlog4j2.configurationFile=file:${join(home.dir, 'log4j2.properties')}`;
}

const LOGGING = `status=error
appender.console.type=Console
appender.console.name=STDOUT
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.stdout.ref=STDOUT
`;

function properties(home: Home, controllerPort: number, data: string): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:${home.port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${home.advertisedPort}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1
num.partitions=3
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.segment.bytes=67108864
log.retention.hours=24
num.network.threads=2
num.io.threads=4
`;
}
