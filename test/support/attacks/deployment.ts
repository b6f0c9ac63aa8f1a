/**
 * A deployment with three witnesses, made once by the real service and then stopped; and lives of its parts over copies
 * of its directory, in which whoever holds the storage does what he likes. The tables and the keys of payloads are
 * one for all: `restore` puts the tables back.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import type { Config } from '../../../schemas/config/v1.ts';
import { LEDGER_TOPICS, TOPICS } from '../../../schemas/topics.ts';
import { startService } from '../../../services/cli/service.ts';
import { classMappingVersion } from '../../../services/evidence/projection.ts';
import type { VerifyReport } from '../../../services/evidence/report.ts';
import { parseCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import { parsePolicy } from '../../../services/evidence/tlog/policy.ts';
import { verifyBundle } from '../../../services/evidence/verify.ts';
import { randomBytes } from 'node:crypto';
import { openEmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { Bus, BusRecord } from '../../../services/platform/bus/port.ts';
import { systemClock, type Clock } from '../../../services/platform/clock.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { nodeCrypto, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { exportLedger } from '../../../services/platform/ledger/export.ts';
import { openKeyStore, type KeyStore } from '../../../services/platform/payloads/key-store.ts';
import { PayloadReader } from '../../../services/platform/payloads/read.ts';
import { openChdbStore } from '../../../services/platform/store/chdb/open.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { PartitionWriter, type WriterSettings } from '../../../services/record/loop.ts';
import type { Signer } from '../../../services/record/ports.ts';
import { openLocalSigner, type LocalSigner } from '../../../services/sign/local-signer.ts';
import { Cosigner, type Fork } from '../../../services/sign/root/cosigner.ts';
import { diskFiles } from '../../../services/sign/root/files.ts';
import { RootLog } from '../../../services/sign/root/root-log.ts';
import type { RunningWitness } from '../../../services/witness/main.ts';
import { CALLS, StreamWriter } from '../scenario/events.ts';
import { openWitness, rootVkey, writePolicy } from '../tlog/witnesses.ts';
import { firstLink, headKeeper, headsAreSigned, plainChain, storedRows, unwitnessedTree } from './peers.ts';
import type { Finding, PeerHead } from './peers.ts';

export const SESSION = 'victim';
export const TOPIC = TOPICS.toolcalls.name;
/** Three a request, so a record, so an offset. */
export const EVENTS = 12;
const PER_REQUEST = 3;
const DEPLOYMENT = 'local';
const WITNESSES = ['w1.example', 'w2.example', 'w3.example'] as const;
const TABLES = ['ledger', 'payloads', 'events', 'checkpoints'];
const MUTATION = 'SETTINGS mutations_sync = 2';

export interface Peers {
  readonly chain: Finding;
  readonly tree: Finding;
  readonly keeper: Finding;
}

export interface Outcome {
  readonly report: VerifyReport;
  readonly peers: Peers;
}

/** Of the log that holds the session. */
export interface Victim {
  readonly logId: string;
  readonly origin: string;
  readonly partition: number;
}

export class Deployment {
  readonly dir: string;
  readonly store: Store;
  readonly keys: KeyStore;
  readonly victim: Victim;
  readonly config: Config;
  /** The root checkpoint, and the head of the log, that an auditor kept when all was well. */
  readonly keptCheckpoint: string;
  readonly keptHead: PeerHead;
  #sound: Life | undefined;

  private constructor(parts: Pick<Deployment, 'config' | 'dir' | 'keptHead' | 'store' | 'victim'>) {
    this.dir = parts.dir;
    this.store = parts.store;
    this.keys = openKeyStore(join(parts.dir, 'data'), randomBytes);
    this.victim = parts.victim;
    this.config = parts.config;
    this.keptHead = parts.keptHead;
    this.keptCheckpoint = readFileSync(join(parts.dir, 'data/root-log/cosigned'), 'utf8');
  }

  static async make(): Promise<Deployment> {
    const dir = mkdtempSync(join(tmpdir(), 'tripline-attacks-'));
    const data = join(dir, 'data');
    const vkey = await rootVkey(data);
    const witnesses = await openWitnesses(dir, vkey);
    const configFile = join(dir, 'tripline.json');
    const rootLog = { policyFile: join(dir, 'policy'), epochMs: 100, cosignEveryMs: 1000 };
    writePolicy(rootLog.policyFile, vkey, witnesses, 2);
    writeFileSync(
      configFile,
      JSON.stringify({ rootLog, rules: { builtin: false }, record: { maxBatchWaitMs: 0 } }),
    );
    const env = { TRIPLINE_DATA_DIR: data };
    const config = loadConfig({
      file: configFile,
      env,
      overrides: [{ path: ['http', 'port'], value: 0 }],
    });
    try {
      await runOnce(config);
    } finally {
      for (const witness of witnesses) await witness.stop();
    }
    const store = await openChdbStore({
      dir: join(data, 'clickhouse'),
      maxMemoryBytes: 1024 ** 3,
      queryTimeoutMs: 30_000,
      log: pino({ level: 'silent' }),
    });
    for (const table of TABLES)
      await store.command(
        `CREATE TABLE ${table}_sound ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM ${table}`,
      );
    const victim = await victimOf(store);
    const { size, root } = victim.head;
    return new Deployment({ dir, store, config, victim, keptHead: { size, root } });
  }

  /** Runs statements on the tables of the service. */
  async sql(...statements: readonly string[]): Promise<void> {
    for (const statement of statements)
      await this.store.command(statement.startsWith('ALTER') ? `${statement} ${MUTATION}` : statement);
  }

  async restore(): Promise<void> {
    for (const table of TABLES)
      await this.sql(`TRUNCATE TABLE ${table}`, `INSERT INTO ${table} SELECT * FROM ${table}_sound`);
  }

  /** The deployment as it was stopped; nothing is appended to it. */
  async sound(): Promise<Life> {
    return (this.#sound ??= await Life.open(this, join(this.dir, 'data'), { readOnly: true }));
  }

  /** A copy of all but the tables, with its witnesses as they stood: what happens in it is not known outside of it. */
  async copy(name: string, options: CopyOptions = {}): Promise<Life> {
    const { parts = ALL_PARTS, of = '.', witnessesOf = of, asks = [0, 1, 2] } = options;
    const dir = join(this.dir, name);
    for (const part of parts)
      cpSync(join(this.dir, of, 'data', part), join(dir, 'data', part), { recursive: true });
    await options.edit?.(join(dir, 'data'));
    for (const witness of WITNESSES)
      cpSync(join(this.dir, witnessesOf, witness), join(dir, witness), { recursive: true });
    const vkey = await rootVkey(join(dir, 'data'));
    const witnesses = await openWitnesses(dir, vkey);
    const policy = join(dir, 'policy');
    // Names in the policy stay those of the places, also where not all are asked.
    const asked = witnesses.map((witness, at) => (asks.includes(at) ? witness : { ...witness, url: NOBODY }));
    writePolicy(policy, vkey, asked, 2);
    return await Life.open(this, join(dir, 'data'), { witnesses, policy });
  }

  async close(): Promise<void> {
    await this.#sound?.close();
    await this.keys.close();
    await this.store.close();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

export interface CopyOptions {
  /** Of the data directory. */
  readonly parts?: readonly string[];
  /** The copy that is copied; else the deployment. */
  readonly of?: string;
  /** What is done to the files before they are opened. */
  readonly edit?: (dataDir: string) => Promise<void>;
  /** The copy whose witnesses are taken over, with what they know. */
  readonly witnessesOf?: string;
  /** Which of the witnesses the operator asks. */
  readonly asks?: readonly number[];
}

const ALL_PARTS = ['bus', 'signer.lmdb', 'root-log', 'log.key', 'log.pub'] as const;
/** Port 9 is discard: nothing listens there, and a connection is refused at once. */
const NOBODY = 'http://127.0.0.1:9';

async function openWitnesses(dir: string, vkey: string): Promise<RunningWitness[]> {
  const opened: RunningWitness[] = [];
  for (const name of WITNESSES) opened.push(await openWitness(name, join(dir, name), [vkey]));
  return opened;
}

/** The real service, from its start to its end: twelve events in four requests, all on record, signed and cosigned. */
async function runOnce(config: Config): Promise<void> {
  const writer = new StreamWriter('default', SESSION);
  const log = pino({ level: 'silent' });
  const steps = ['ingest', 'record', 'sign', 'query', 'respond'] as const;
  const service = await startService({ config, steps, log, announce: true });
  try {
    const token = readFileSync(join(config.dataDir, 'producer.token'), 'utf8').trim();
    for (let sent = 0; sent < EVENTS; sent += PER_REQUEST) {
      const lines = Array.from({ length: PER_REQUEST }, () => writer.event(CALLS.search, Date.now()).line);
      const response = await fetch(`${service.url}/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
        body: lines.join('\n'),
      });
      assert.equal(response.status, 202);
    }
    const entered = `tripline_record_lines_total{topic="${TOPIC}",what="entries"} ${EVENTS}`;
    for (let at = 0; ; at += 1) {
      assert.ok(at < 600, 'the events were not recorded');
      if ((await (await fetch(`${service.url}/metrics`)).text()).includes(entered)) break;
      await sleep(50);
    }
  } finally {
    await service.stop();
  }
  assert.ok(existsSync(join(config.dataDir, 'root-log/cosigned')), 'nobody cosigned');
}

async function victimOf(store: Store) {
  const [row] = await store.query<{
    log: string;
    origin: string;
    partition: number;
    size: string;
    root: string;
  }>(
    `SELECT lower(hex(log_id)) AS log, origin, partition, toString(size) AS size, lower(hex(root)) AS root FROM checkpoints
     WHERE log_id IN (SELECT log_id FROM ledger WHERE session_id = {session:String}) ORDER BY checkpoints.size DESC LIMIT 1`,
    { params: { session: SESSION } },
  );
  assert.ok(row);
  const head = { size: Number(row.size), root: row.root };
  assert.equal(head.size, EVENTS);
  return { logId: row.log, origin: row.origin, partition: row.partition, head };
}

async function openBus(deployment: Deployment, dir: string, clock: Clock = systemClock): Promise<Bus> {
  const options = { dir: join(dir, 'bus'), clock, maxQueuedBytes: 1 << 26 };
  const bus = await openEmbeddedBus(options);
  await bus.ensureTopics(Object.values(TOPICS), deployment.config.bus.partitions);
  return bus;
}

/** What an auditor kept. */
export interface KeptBy {
  /** A root checkpoint. */
  readonly kept?: string;
  /** The head of the victim's log, for the peer who keeps that; else the deployment's. */
  readonly keptHead?: PeerHead;
}

interface LifeOptions {
  readonly readOnly?: boolean;
  readonly witnesses?: readonly RunningWitness[];
  /** Whom the operator asks. */
  readonly policy?: string;
}

/** Bus, signer and root log of one directory, as record and sign have them open. */
export class Life {
  readonly dir: string;
  bus: Bus | undefined;
  readonly signer: LocalSigner;
  readonly root: RootLog;
  readonly forks: Fork[];
  readonly #deployment: Deployment;
  readonly #witnesses: readonly RunningWitness[];
  readonly #settings: WriterSettings;

  private constructor(
    deployment: Deployment,
    parts: Pick<Life, 'bus' | 'dir' | 'forks' | 'root' | 'signer'> & {
      readonly witnesses: readonly RunningWitness[];
    },
  ) {
    this.#deployment = deployment;
    this.dir = parts.dir;
    this.bus = parts.bus;
    this.signer = parts.signer;
    this.root = parts.root;
    this.forks = parts.forks;
    this.#witnesses = parts.witnesses;
    const mapping = classMappingVersion(deployment.config.classify, sha256);
    const { ed25519Verify } = nodeCrypto;
    this.#settings = {
      deployment: DEPLOYMENT,
      mapping,
      sha256,
      ed25519Verify,
      maxBatchEvents: 8192,
      maxBatchBytes: 8 << 20,
    };
  }

  static async open(deployment: Deployment, dir: string, options: LifeOptions): Promise<Life> {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const signer = await openLocalSigner({ dir, clock: systemClock });
    const { readOnly = false, witnesses = [], policy } = options;
    const bus = readOnly ? undefined : await openBus(deployment, dir);
    const files = diskFiles(join(dir, 'root-log'));
    const forks: Fork[] = [];
    const cosigner =
      policy === undefined
        ? undefined
        : new Cosigner({
            policy: parsePolicy(readFileSync(policy, 'latin1'), sha256),
            crypto: nodeCrypto,
            timeoutMs: 5000,
            files,
            log: pino({ level: 'silent' }),
            signal: new AbortController().signal,
            onFork: async (fork) => void forks.push(fork),
          });
    const ledger = signer.rootLedger;
    const root = await RootLog.open({
      deployment: DEPLOYMENT,
      ledger,
      files,
      clock: systemClock,
      cosigner,
      readOnly,
    });
    signer.root = root;
    signer.onCommitted(() => root.moved());
    return new Life(deployment, { dir, bus, signer, root, forks, witnesses });
  }

  needBus(): Bus {
    assert.ok(this.bus);
    return this.bus;
  }

  /** Step record over what the bus holds of one partition, from where the signer stands. */
  async record(
    at: { readonly topic: string; readonly partition: number } = this.place(),
    ports: { readonly signer?: Signer; readonly store?: Store } = {},
  ): Promise<void> {
    const bus = this.needBus();
    const { store, keys } = this.#deployment;
    const writer = new PartitionWriter(
      at,
      { bus, clock: systemClock, store, keys, signer: this.signer, ...ports },
      this.#settings,
    );
    const from = await writer.start();
    const records = await this.records(at, from);
    const context = { heartbeat: async () => undefined, isStale: () => false, commit: async () => undefined };
    if (records.length > 0) await writer.onBatch({ records }, context);
  }

  place(): { readonly topic: string; readonly partition: number } {
    return { topic: TOPIC, partition: this.#deployment.victim.partition };
  }

  async records(
    at: { readonly topic: string; readonly partition: number } = this.place(),
    from = 0,
  ): Promise<BusRecord[]> {
    const records: BusRecord[] = [];
    for await (const part of this.needBus().read({ ...at, from })) records.push(...part);
    return records;
  }

  /** All that is on the bus for the ledger, recorded, in an epoch, and offered to the witnesses. */
  async recordAll(): Promise<void> {
    for (const topic of LEDGER_TOPICS)
      for (const { partition, latest } of await this.needBus().offsets(topic))
        if (latest > 0) await this.record({ topic, partition });
    this.root.moved();
    await this.root.epoch();
    await this.root.cosign();
  }

  /** What an auditor finds who trusts two of the three witnesses, and perhaps kept a checkpoint. */
  async verify(options: KeptBy = {}): Promise<Outcome> {
    const { store, keys, dir, keptHead } = this.#deployment;
    const policy = parsePolicy(readFileSync(join(dir, 'policy'), 'latin1'), sha256);
    const kept = options.kept === undefined ? undefined : parseCheckpoint(options.kept);
    const heads = this.signer;
    const bundle = exportLedger(store, { deployment: DEPLOYMENT, nowMs: Date.now(), heads, keys });
    const report = await verifyBundle(bundle, nodeCrypto, {
      policy,
      ...(kept === undefined ? {} : { keptCheckpoint: kept }),
    });
    return { report, peers: await this.#peers(options.keptHead ?? keptHead) };
  }

  /** The three others, over the rows and heads of this life. */
  async #peers(kept: PeerHead): Promise<Peers> {
    const { store, keys, victim } = this.#deployment;
    const rows = await storedRows(store, new PayloadReader(store, keys), victim.logId);
    const { list, head } = await this.head();
    assert.ok(list.signed);
    assert.ok(headsAreSigned(list.heads, list.signed.signature, await this.signer.publicKey()));
    return {
      chain: plainChain(rows, firstLink(victim.origin)),
      tree: unwitnessedTree(rows, head),
      keeper: headKeeper(rows, head, kept),
    };
  }

  /** Of the victim's log, as the signer has it. */
  async head() {
    const { logId } = this.#deployment.victim;
    const lists = await this.signer.heads();
    const list = lists.find(({ heads }) => heads.some((head) => head.logId === logId));
    const head = list?.heads.find((one) => one.logId === logId);
    assert.ok(list && head);
    return { list, head };
  }

  /** Opens the bus again after somebody had its files; `clock` sets append times. */
  async reopenBus(clock?: Clock): Promise<void> {
    this.bus = await openBus(this.#deployment, this.dir, clock);
  }

  async close(): Promise<void> {
    for (const witness of this.#witnesses) await witness.stop();
    await this.signer.close();
    await this.bus?.close();
  }
}
