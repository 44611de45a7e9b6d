// Calls of an entity alone: what an answer from the store costs beside the echo, what a few that the model has to answer add, what
// callers feel while scores are put, and what Redis adds to a look-up in memory.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findMax } from '../../src/bench/find-max.ts';
import { pinned } from '../../src/bench/pinning.ts';
import { type FlowPlan, type LoadShape, MAX_IN_FLIGHT } from '../../src/bench/plan.ts';
import type { FlowReport, LoadReport } from '../../src/bench/report.ts';
import {
  checkEntityAnswers,
  checkPutAnswers,
  type EntityCalls,
  type EntityModels,
  entityCalls,
  MODEL,
  PUT_SCORES_PATH,
  putCalls,
  putScores,
  writeEntityModel,
} from '../harness/entities.ts';
import type { Mark } from '../harness/figures.ts';
import { RedisProcess } from '../harness/redis-process.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { startEcho, startScorewire } from '../harness/servers.ts';
import { SERVER_CORE } from '../harness/settings.ts';
import {
  errorShare,
  inTurns,
  type LoadOptions,
  onlyFlow,
  PEAK_IN_FLIGHT,
  poisson,
  ratios,
  type Scenario,
  type Suite,
} from '../harness/suite.ts';

const REDIS_FLOOR = fileURLToPath(new URL('../floors/redis-get.ts', import.meta.url));

/** Entities that are asked for, in turn. */
const ENTITIES = 100_000;
const MISS_EVERY = 20;
const UNSTORED = ENTITIES / MISS_EVERY;
/** A look shorter than this, seconds a load, is smaller in all else, too. */
const WHOLE_FROM_SECONDS = 3;
const WHOLE = { loadFactor: 1, entries: 2_000_000, searches: true, redis: true };
const SHORT = { loadFactor: 0.4, entries: 200_000, searches: false, redis: false };
const PUTS_PER_SECOND = 20_000;
const ENTRIES_A_PUT = 100;
const PUT_CALLS = 1000;
const PUTS: LoadShape = {
  kind: 'open',
  arrivals: { process: 'even', ratePerSecond: PUTS_PER_SECOND / ENTRIES_A_PUT },
  maxInFlight: MAX_IN_FLIGHT,
};

/** A server just started has compiled nothing yet. */
const FIRST_WARM_UP_FACTOR = 3;
const SHARE_OF_MAX = 0.5;
const MAX_P99_MS = 10;
/** Of the closed loop's throughput, where the highest rate isn't searched for. */
const UNSEARCHED_SHARE = 0.5;
/** Loads of the search are shorter than others. */
const SEARCH_FACTOR = 0.5;
const SEARCH_PRECISION = 0.5;
const SEARCH_REPETITIONS = 3;
const SEARCH_FROM = 0.5;
const SEARCH_TO = 1.5;

const MAX_HIT_ABOVE_ECHO_US = 8;
const MAX_MIX_ABOVE_ECHO_US = 10;
const NO_ERRORS: Mark = { relation: 'at most', value: 0 };
/** Of entities whose features nobody knows: a look-up that a busy machine delays by more than store.timeout_ms is one. */
const FEW_ERRORS: Mark = { relation: 'at most', value: 0.001 };
const BELOW_MARK: Mark = { relation: 'at most', value: MAX_P99_MS };
const FLOOR_KEY = 'floor';
/** As long as a packed score is. */
const FLOOR_VALUE = 'x'.repeat(48);

interface Parts {
  suite: Suite;
  size: typeof WHOLE;
  from: EntityModels;
  hits: EntityCalls;
  mix: EntityCalls;
}

interface MemoryBlock {
  hits: LoadReport;
  mix: LoadReport;
  /** The highest Poisson rate of the mix with a p99 of 10 ms, calls a second; undefined where none was found. */
  maxPerSecond: number | undefined;
  quiet: FlowReport;
  besidePuts: FlowReport;
  putsPerSecond: number;
  residentMiB: number;
}

interface RedisBlock {
  many: LoadReport;
  /** Of one call at a time, with either store, and of a bare GET. */
  memoryUs: number;
  redisUs: number;
  getUs: number;
  lookUpsACommand: number;
}

export const stored: Scenario = {
  name: 'stored',
  title: 'entities alone, answered from stored scores in memory and in Redis, against the grpc-js echo',
  async run(suite: Suite) {
    const folder = mkdtempSync(join(tmpdir(), 'scorewire-bench-stored-'));
    try {
      const from = await writeEntityModel(folder, UNSTORED);
      const size = suite.settings.seconds < WHOLE_FROM_SECONDS ? SHORT : WHOLE;
      const parts = { suite, size, from, hits: entityCalls(ENTITIES, 0), mix: entityCalls(ENTITIES, MISS_EVERY) };
      let answer: Uint8Array | undefined;
      const [memory = [], echo = []] = await inTurns<MemoryBlock | LoadReport>(suite.settings.repetitions, [
        () => measureMemory(parts, (sample) => (answer ??= sample)),
        () => measureEcho(parts, answer),
      ]);
      compareMemory(suite, memory as MemoryBlock[], echo as LoadReport[]);
      if (!size.redis)
        suite.note(`nothing of Redis was measured: loads of ${WHOLE_FROM_SECONDS} s at least are needed`);
      else if (RedisProcess.isInstalled) await compareRedis(parts);
      else suite.note('nothing of Redis was measured: there is no redis-server (apt-get install redis-server)');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function measureMemory(parts: Parts, onAnswer: (sample: Uint8Array) => void): Promise<MemoryBlock> {
  const { suite, size, from, hits, mix } = parts;
  const { warmUpSeconds } = suite.settings;
  const server = await startScorewire({ models: from.models, set: from.set });
  try {
    await putScores(server.port, 0, ENTITIES);
    const first = { warmUpSeconds: FIRST_WARM_UP_FACTOR * warmUpSeconds };
    const hitLoad = await load(parts, server, hits, { kind: 'closed', inFlight: PEAK_IN_FLIGHT }, first);
    onAnswer(onlyFlow(hitLoad.flows).samples[0]?.answer as Uint8Array);
    const mixLoad = await load(parts, server, mix, { kind: 'closed', inFlight: PEAK_IN_FLIGHT });

    const { entries } = size;
    const fillingSince = performance.now();
    await putScores(server.port, ENTITIES, entries);
    const fillSeconds = (performance.now() - fillingSince) / 1000;
    suite.progress(`${entries} entries, put in ${fillSeconds.toFixed(1)} s`);
    const closedPerSecond = onlyFlow(mixLoad.flows).answeredPerSecond;
    const maxPerSecond = size.searches ? await findMaxOf(parts, server, closedPerSecond) : undefined;
    const shape = poisson(SHARE_OF_MAX * (maxPerSecond ?? UNSEARCHED_SHARE * closedPerSecond), 1);
    const quiet = onlyFlow((await load(parts, server, mix, shape)).flows);
    const puts: FlowPlan = {
      ...suite.flow(MODEL, PUTS),
      name: 'puts',
      path: PUT_SCORES_PATH,
      messages: putCalls(ENTITIES, entries, PUT_CALLS, ENTRIES_A_PUT),
    };
    const { flows } = await load(parts, server, mix, shape, {}, [puts]);
    const [besidePuts, putFlow] = flows as [FlowReport, FlowReport];
    checkPutAnswers(putFlow.samples);
    const putsPerSecond = ENTRIES_A_PUT * putFlow.answeredPerSecond;
    const residentMiB = (server.memory()?.residentBytes ?? Number.NaN) / 2 ** 20;
    return { hits: hitLoad, mix: mixLoad, maxPerSecond, quiet, besidePuts, putsPerSecond, residentMiB };
  } finally {
    await server.stop();
  }
}

async function measureEcho(parts: Parts, answer: Uint8Array | undefined): Promise<LoadReport> {
  const { warmUpSeconds } = parts.suite.settings;
  const server = await startEcho(answer);
  try {
    const first = { warmUpSeconds: FIRST_WARM_UP_FACTOR * warmUpSeconds };
    return await load(parts, server, parts.hits, { kind: 'closed', inFlight: PEAK_IN_FLIGHT }, first);
  } finally {
    await server.stop();
  }
}

/** Loads a server with calls of entities alone, and checks the sampled answers unless it is the echo. */
async function load(
  { suite, size, hits }: Parts,
  server: ServerProcess,
  calls: EntityCalls,
  shape: LoadShape,
  options: LoadOptions = {},
  beside: readonly FlowPlan[] = [],
): Promise<LoadReport> {
  const name = calls === hits ? 'hits' : 'mix';
  const plan: FlowPlan = { ...suite.flow(MODEL, shape), name, messages: calls.messages };
  const report = await suite.load(server, [plan, ...beside], {
    warmUpSeconds: size.loadFactor * (options.warmUpSeconds ?? suite.settings.warmUpSeconds),
    seconds: size.loadFactor * (options.seconds ?? suite.settings.seconds),
  });
  if (server.name === 'scorewire') checkEntityAnswers(calls, report.flows[0]?.samples ?? []);
  return report;
}

async function findMaxOf(parts: Parts, server: ServerProcess, closedPerSecond: number): Promise<number | undefined> {
  const seconds = SEARCH_FACTOR * parts.suite.settings.seconds;
  const warmUpSeconds = SEARCH_FACTOR * parts.suite.settings.warmUpSeconds;
  const { ratePerSecond } = await findMax(
    async (rate) => {
      const report = await load(parts, server, parts.mix, poisson(rate, 1), { seconds, warmUpSeconds });
      const flow = onlyFlow(report.flows);
      const { p99Us } = flow.answers;
      const kept = p99Us <= 1000 * MAX_P99_MS && errorShare(flow) === 0;
      return { ratePerSecond: rate, kept, p99Us, errorShare: errorShare(flow), limited: report.client.limited };
    },
    {
      startPerSecond: SEARCH_FROM * closedPerSecond,
      ceilingPerSecond: SEARCH_TO * closedPerSecond,
      repetitions: SEARCH_REPETITIONS,
      precision: SEARCH_PRECISION,
    },
  );
  if (ratePerSecond > 0) return ratePerSecond;
  parts.suite.note(`no Poisson rate was found that keeps p99 <= ${MAX_P99_MS} ms`);
  return undefined;
}

function compareMemory(suite: Suite, memory: readonly MemoryBlock[], echo: readonly LoadReport[]): void {
  const cpu = (reports: readonly LoadReport[]) => reports.map(({ server }) => server?.cpuUsPerCall ?? Number.NaN);
  const echoCpu = cpu(echo);
  const arms = [
    ['hits', memory.map(({ hits }) => hits), MAX_HIT_ABOVE_ECHO_US],
    ['5 % misses', memory.map(({ mix }) => mix), MAX_MIX_ABOVE_ECHO_US],
  ] as const;
  for (const [name, reports, value] of arms) {
    const flows = reports.map((report) => onlyFlow(report.flows));
    suite.figure(`${name}, ${PEAK_IN_FLIGHT} in flight, throughput`, 'calls/s', rates(flows));
    suite.figure(`${name}, ${PEAK_IN_FLIGHT} in flight, p99`, 'ms', p99Ms(flows));
    suite.figure(`${name}, errors`, 'share', flows.map(errorShare), NO_ERRORS);
    const ourCpu = cpu(reports);
    if ([...ourCpu, ...echoCpu].some(Number.isNaN)) continue;
    suite.figure(`${name}, server CPU a call`, 'us', ourCpu);
    const above = ourCpu.map((us, repetition) => us - (echoCpu[repetition] as number));
    suite.figure(`${name}, server CPU a call above echo`, 'us', above, { relation: 'at most', value });
    suite.figure(`${name}, server CPU a call / echo`, 'ratio', ratios(ourCpu, echoCpu));
  }
  const echoFlows = echo.map(({ flows }) => onlyFlow(flows));
  suite.figure(`echo, ${PEAK_IN_FLIGHT} in flight, throughput`, 'calls/s', rates(echoFlows));
  if (!echoCpu.some(Number.isNaN)) suite.figure('echo, server CPU a call', 'us', echoCpu);

  const quiet = memory.map((block) => block.quiet);
  const besidePuts = memory.map((block) => block.besidePuts);
  const full = 'full store, 5 % misses';
  const found = memory.flatMap(({ maxPerSecond }) => maxPerSecond ?? []);
  if (found.length > 0) suite.figure(`${full}, highest Poisson rate with p99 <= ${MAX_P99_MS} ms`, 'calls/s', found);
  suite.figure(`${full}, Poisson at half of that, offered`, 'calls/s', quiet.map(offered));
  suite.figure(`${full}, Poisson, p99`, 'ms', p99Ms(quiet));
  suite.figure(`${full}, Poisson, p99 beside puts`, 'ms', p99Ms(besidePuts), BELOW_MARK);
  suite.figure(`${full}, p99 beside puts / without`, 'ratio', ratios(p99Ms(besidePuts), p99Ms(quiet)));
  suite.figure(`${full}, errors beside puts`, 'share', besidePuts.map(errorShare), NO_ERRORS);
  suite.figure(
    `${full}, puts`,
    'scores/s',
    memory.map(({ putsPerSecond }) => putsPerSecond),
  );
  suite.figure(
    `${full}, resident memory of the server`,
    'MiB',
    memory.map(({ residentMiB }) => residentMiB),
  );
}

async function compareRedis(parts: Parts): Promise<void> {
  const { suite } = parts;
  const redis: RedisBlock[] = [];
  for (let repetition = 0; repetition < suite.settings.repetitions; repetition++) redis.push(await measureRedis(parts));
  const many = redis.map((block) => onlyFlow(block.many.flows));
  const memoryUs = redis.map((block) => block.memoryUs);
  const redisUs = redis.map((block) => block.redisUs);
  const getUs = redis.map((block) => block.getUs);
  const sums = memoryUs.map((us, repetition) => us + (getUs[repetition] as number));
  suite.figure('memory, 1 in flight, p50', 'us', memoryUs);
  suite.figure('Redis, a bare GET, p50', 'us', getUs);
  suite.figure('Redis, 1 in flight, p50', 'us', redisUs);
  suite.figure('Redis, 1 in flight, p50 / (memory + GET)', 'ratio', ratios(redisUs, sums), {
    relation: 'at most',
    value: 1,
  });
  suite.figure(`Redis, ${PEAK_IN_FLIGHT} in flight, throughput`, 'calls/s', rates(many));
  suite.figure(`Redis, ${PEAK_IN_FLIGHT} in flight, p99`, 'ms', p99Ms(many));
  const cpu = redis.map((block) => block.many.server?.cpuUsPerCall ?? Number.NaN);
  if (!cpu.some(Number.isNaN)) suite.figure(`Redis, ${PEAK_IN_FLIGHT} in flight, server CPU a call`, 'us', cpu);
  suite.figure(
    `Redis, ${PEAK_IN_FLIGHT} in flight, look-ups a command`,
    'look-ups',
    redis.map(({ lookUpsACommand }) => lookUpsACommand),
  );
  suite.figure('Redis, errors', 'share', many.map(errorShare), FEW_ERRORS);
}

/** Both stores behind servers that are there at the same time, so that what is compared lies seconds apart. */
async function measureRedis(parts: Parts): Promise<RedisBlock> {
  const { suite, from, hits } = parts;
  const ends: (() => Promise<void>)[] = [];
  try {
    const redis = await RedisProcess.start();
    ends.push(() => redis.stop());
    const start = async (set: readonly string[]): Promise<ServerProcess> => {
      const server = await startScorewire({ models: from.models, set: [...from.set, ...set] });
      ends.push(() => server.stop());
      await putScores(server.port, 0, ENTITIES);
      return server;
    };
    const inRedis = await start(['store.kind=redis', `redis.url=${redis.url}`]);
    const inMemory = await start([]);
    await redis.set(FLOOR_KEY, FLOOR_VALUE);
    const first = { warmUpSeconds: FIRST_WARM_UP_FACTOR * suite.settings.warmUpSeconds };
    const before = await redis.counts();
    const many = await load(parts, inRedis, hits, { kind: 'closed', inFlight: PEAK_IN_FLIGHT }, first);
    const after = await redis.counts();
    const p50Us = async (server: ServerProcess, options?: LoadOptions): Promise<number> =>
      onlyFlow((await load(parts, server, hits, { kind: 'closed', inFlight: 1 }, options)).flows).answers.p50Us;
    return {
      many,
      memoryUs: await p50Us(inMemory, first),
      redisUs: await p50Us(inRedis),
      getUs: await bareGetUs(suite, redis.port),
      lookUpsACommand: (after.keysFound - before.keysFound) / (after.commands - before.commands),
    };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

/** From the server's core to where Redis is, as our server goes. */
async function bareGetUs(suite: Suite, port: number): Promise<number> {
  const floor = [REDIS_FLOOR, String(port), FLOOR_KEY, String(suite.settings.seconds)];
  const [command, ...args] = pinned(SERVER_CORE, [process.execPath, ...floor]);
  const { stdout } = await promisify(execFile)(command as string, args);
  suite.progress(`a bare GET: ${Number(stdout).toFixed(1)} us`);
  return Number(stdout);
}

function rates(flows: readonly FlowReport[]): number[] {
  return flows.map(({ answeredPerSecond }) => answeredPerSecond);
}

function offered({ offeredPerSecond }: FlowReport): number {
  return offeredPerSecond ?? 0;
}

function p99Ms(flows: readonly FlowReport[]): number[] {
  return flows.map(({ answers }) => answers.p99Us / 1000);
}
