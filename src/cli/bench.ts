// `scorewire bench`: measures a server, ours or another one; `scorewire bench compare` judges two such measurements.
import type { Command } from 'commander';
import { RPC_KINDS } from '../bench/rpc.ts';
import { SCENARIOS } from '../bench/scenario-names.ts';

export type BenchFlags = Record<
  | 'address'
  | 'api'
  | 'rpc'
  | 'scenarios'
  | 'seconds'
  | 'warmUp'
  | 'repetitions'
  | 'processes'
  | 'inFlight'
  | 'offlineInFlight'
  | 'bound'
  | 'ceiling'
  | 'precision'
  | 'seed'
  | 'generated'
  | 'label',
  string
> & {
  model?: string;
  modelVersion?: string;
  streams?: string;
  items?: string;
  batchRows?: string;
  path?: string;
  rows?: string;
  rate?: string;
  connections?: string;
  cores?: string;
  serverPid?: string[];
  metricsUrl?: string;
  slo?: string;
  json?: string;
  html?: string;
};

export function addBench(program: Command): void {
  const bench = program
    .command('bench')
    .description('measure a server: ours, any that speaks the Open Inference Protocol, or one that takes JSON')
    .option('--address <host:port>', 'where the server listens (cleartext)', '127.0.0.1:8001')
    .option(
      '--api <name>',
      'native (scorewire.v1), oip (inference.GRPCInferenceService/ModelInfer) or json (POST over HTTP/1.1)',
      'native',
    )
    .option('--path <path>', 'where json goes (default: /score)')
    .option('--rpc <name>', `which call of the native API: ${RPC_KINDS.join(', ')}`, 'unary')
    .option('--streams <n>', 'with --rpc stream: streams of each connection (default: 1)')
    .option('--items <n>', 'with --rpc stream: items that go into one message (default: 1)')
    .option('--batch-rows <n>', 'with --rpc bulk: rows of each call (default: 1000)')
    .option('--model <name>', "the model's name")
    .option('--model-version <number>', 'a version other than the live one')
    .option('--rows <file>', 'rows to send: JSON, an array or a row a line; golden rows will do (default: made up)')
    .option('--generated <n>', "rows made up from the model's schema", '256')
    .option('--seed <n>', 'of made-up rows and of arrival times', '1')
    .option('--scenarios <names>', `any of ${SCENARIOS.join(', ')}`, 'single-stream,closed,server')
    .option('--rate <n>', 'calls a second of server, and where find-max begins (default: half of the closed loop’s)')
    .option('--in-flight <n>', 'calls in flight of closed', '64')
    .option('--offline-in-flight <n>', 'calls in flight of offline', '512')
    .option('--bound <limits>', 'what find-max holds the server to', 'p99=10ms,errors=0.1%')
    .option('--ceiling <n>', 'no rate above it is tried', '200000')
    .option('--precision <share>', 'how close find-max comes', '3%')
    .option('--seconds <n>', 'measured time of one load', '10')
    .option('--warm-up <n>', 'seconds of load before it', '2')
    .option('--repetitions <n>', 'how often each load is measured', '3')
    .option('--connections <n>', 'connections of each generator process (default: 1; json 256, one call on each)')
    .option('--processes <n>', 'generator processes', '1')
    .option('--cores <list>', 'cores to pin the generator processes to, such as 1 or 2,3')
    .option('--server-pid <pid...>', "the server's processes on this machine, for CPU a call")
    .option('--metrics-url <url>', "the server's Prometheus metrics, for where a call's time goes")
    .option('--slo <limits>', 'fail (exit status 1) if a load breaks them, such as p99=10ms,errors=0.1%')
    .option('--label <text>', 'a name for the result', '')
    .option('--json <file>', 'write the result, for compare')
    .option('--html <file>', 'write a report to look at')
    .addHelpText(
      'after',
      `
Scenarios:
  single-stream  one call after the other (MLPerf)
  closed         a fixed number in flight: each answer starts the next call
  server         Poisson arrivals, an open loop: latency counts from the time at which a call was meant to start (MLPerf)
  offline        as much as can be in flight: throughput (MLPerf)
  find-max       the highest Poisson rate that keeps --bound, by bisection

Calls (--rpc):
  unary   Score: a row a call
  stream  ScoreStream: an item counts as a call, and rates and numbers in flight are of items; those of one message start
          together; a stream that ends fails the items in flight on it, and is opened again
  bulk    ScoreBatch: a whole batch counts as a call, its answer is there with the last chunk, and one row with an error makes
          it a failed call with that row's code; for models whose features are all floats

Examples:
  scorewire bench --model boosted-trees --json today.json --html today.html
  scorewire bench --model wine --rpc stream --items 4 --scenarios closed,server
  scorewire bench --model wine --rpc bulk --batch-rows 10000 --in-flight 4 --scenarios closed
  scorewire bench --model fraud_gbdt --api oip --address 127.0.0.1:9001 --scenarios find-max
  scorewire bench --model churn --api json --path /score --address 127.0.0.1:8000 --rows rows.jsonl
  scorewire bench compare main.json branch.json --max-regression 10%`,
    )
    .action(async (flags: BenchFlags) => (await import('./bench-run.ts')).runBench(flags));
  bench
    .command('compare')
    .description('what got worse between two results; exit status 1 if anything did by more than allowed')
    .argument('<before>', 'a file of bench --json')
    .argument('<after>', 'another one')
    .option('--max-regression <share>', 'how much worse a figure may be', '10%')
    .action(async (before: string, after: string, flags: { maxRegression: string }) =>
      (await import('./bench-run.ts')).compareBench(before, after, flags.maxRegression),
    );
}
