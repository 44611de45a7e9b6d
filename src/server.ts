// The only place where parts are put together: build, warm, listen, drain.

import { readFileSync } from 'node:fs';
import type { JobDefinition } from './config/job-definition.ts';
import { readJobs } from './config/jobs-file.ts';
import type { Settings } from './config/settings.ts';
import { ModelHealth } from './engine/model-health.ts';
import type { RepositoryControl } from './engine/repository-control.ts';
import { controlRepository, readRepositoryAtStart } from './engine/start-repository.ts';
import { StatusPage } from './engine/status-snapshot.ts';
import { type Engine, startEngine } from './engine.ts';
import { ScorewireError } from './errors.ts';
import { featureObserver } from './features/feature-metrics.ts';
import { FeatureStores } from './features/feature-stores.ts';
import { AdminGate } from './grpc/admin-gate.ts';
import { GrpcServer, hostAndPort } from './grpc/grpc-server.ts';
import { Health } from './grpc/health-service.ts';
import { jobMethods, watchJobMethod } from './grpc/job-service.ts';
import { loadModelMethods } from './grpc/load-model.ts';
import { modelMethods } from './grpc/model-service.ts';
import { promoteModelMethod } from './grpc/promote-model.ts';
import { PutScoresCalls } from './grpc/put-scores.ts';
import { reflectionMethods } from './grpc/reflection.ts';
import { scoreBatchMethod } from './grpc/score-batch.ts';
import { scoreStoreMethods } from './grpc/score-store-service.ts';
import { ScoreStreams } from './grpc/score-stream.ts';
import { scoreHandler, scoreMethod } from './grpc/scoring-service.ts';
import type { UnaryEdge } from './grpc/unary.ts';
import { type HttpServer, startHttpServer } from './http/http-server.ts';
import { MemoryRegions } from './inference/memory-regions.ts';
import { type ModelInferParts, modelInferMethod } from './inference/model-infer.ts';
import { InferStreams } from './inference/model-stream-infer.ts';
import { INFERENCE_SERVICE, inferenceMethods } from './inference/service-methods.ts';
import { checkJobs } from './jobs/check-jobs.ts';
import { featureSources } from './jobs/feature-sources.ts';
import { JobRuns } from './jobs/job-runs.ts';
import { RefreshWatch } from './jobs/refresh-watch.ts';
import { openScoreStore } from './scores/open-store.ts';
import { Admission } from './scoring/admission.ts';
import type { ModelRegistry } from './scoring/model-registry.ts';
import type { ServedModel } from './scoring/served-model.ts';
import type { TensorAnswer, TensorCall, TensorCallback } from './scoring/tensor-call.ts';
import { Registry } from './telemetry/instruments.ts';
import type { Logger } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { RegistryProducer } from './telemetry/otel-producer.ts';
import { observeProcess } from './telemetry/process-metrics.ts';
import { prometheusText } from './telemetry/prometheus.ts';
import { serverResource } from './telemetry/resource.ts';
import { createTracing } from './telemetry/tracing.ts';
import { TENSORFLOW_SERVICES, tensorflowMethods } from './tensorflow/methods.ts';
import { VERSION } from './version.ts';

export type RunningServer = {
  /** The port that gRPC listens on, and with its host as clients take it. */
  port: number;
  address: string;
  /** The port of metrics, health checks and status page, and with its host; undefined where it is off. */
  httpPort: number | undefined;
  httpAddress: string | undefined;
  engine: Engine;
  /**
   * Says NOT_SERVING, takes no new calls, answers those under way, ends the workers. Resolves with whether every call
   * got its answer inside `drain.timeout_ms`.
   */
  drain(): Promise<boolean>;
};

/** Each is also a name under which gRPC health checks ask for the overall status. */
const SERVICES = [
  'scorewire.v1.ScoringService',
  'scorewire.v1.ModelService',
  'scorewire.v1.ScoreStoreService',
  'scorewire.v1.JobService',
  INFERENCE_SERVICE,
  ...TENSORFLOW_SERVICES,
];

/**
 * Reads the models, listens (NOT_SERVING), loads and warms, and resolves when it serves.
 * @throws SetupError for whatever keeps it from serving; nothing is left listening then.
 */
export async function startServer(settings: Settings, log: Logger): Promise<RunningServer> {
  const repository = await readRepositoryAtStart(settings, log);
  const jobs = settings.jobs.file === undefined ? new Map<string, JobDefinition>() : readJobs(settings.jobs.file);
  const mayCome = (model: string): boolean =>
    settings.models.control !== 'none' || repository.failures.some(({ name }) => name === model);
  for (const warning of checkJobs(jobs, repository.specs, settings.jobs.file ?? '', mayCome)) log.warn(warning);
  const features = featureSources(settings);
  const gate = AdminGate.withTokenFile(settings.admin.tokenFile);

  const registry = new Registry();
  const metrics = createMetrics(registry);
  const store = openScoreStore(settings, metrics, log);
  const stopObserving = observeProcess(metrics);
  const tracing = await createTracing({
    ratio: settings.telemetry.traceRatio,
    endpoint: settings.telemetry.traceEndpoint,
    version: VERSION,
    warn: (message) => log.warn(message),
  });
  const edge: UnaryEdge = {
    metrics,
    tracing,
    logFault: (id, error, entityId) =>
      log.error({ id, reason: error.reason, entityId, err: error.details.cause ?? error }, error.message),
  };
  const admission = new Admission(settings.limits.maxInFlight);
  metrics.inFlight.observe({}, () => admission.inFlight);
  const health = new Health();
  const modelHealth = new ModelHealth(health, ['', ...SERVICES], repository.specs);

  // Before the models are there the door is closed.
  let featureStores: FeatureStores | undefined;
  let engine: Engine | undefined;
  let control: RepositoryControl | undefined;
  let state: 'STARTING' | 'SERVING' | 'NOT_SERVING' | 'DRAINING' = 'STARTING';
  const servedModels = (): ModelRegistry => {
    if (engine !== undefined) return engine.models;
    throw new ScorewireError('unavailable', 'NOT_READY', 'the server is not ready yet; try again');
  };
  const modelControl = (): RepositoryControl => {
    servedModels();
    return control as RepositoryControl;
  };
  const score = scoreHandler(
    admission,
    (call, callback) => (engine as Engine).scorer.score(call, callback),
    (answer) => {
      const cells = (engine as Engine).cells(answer.model);
      cells.answers[answer.origin].add();
      if (answer.origin !== 'default') cells.score.record(answer.score);
      if (answer.origin !== 'real_time') return;
      answer.model.statistics.answered(1, {
        queueUs: (answer.startedMs - answer.queuedMs) * 1000,
        inferUs: answer.inferenceUs,
        totalUs: (answer.endedMs - answer.receivedMs) * 1000,
      });
      cells.features.record((answer.queuedMs - answer.lookedUpMs) / 1000);
      cells.queueDelay.record((answer.startedMs - answer.queuedMs) / 1000);
    },
    (name) => engine?.models.has(name) ?? false,
  );
  const scoreStreams = new ScoreStreams(edge, score);
  const putScores = new PutScoresCalls({ edge, gate, models: servedModels, store });
  const jobRuns = new JobRuns(
    jobs,
    () => (engine as Engine).bulkScorer,
    settings.jobs.maxRunning,
    features,
    metrics,
    log,
  );
  const readyJobs = (): JobRuns => {
    servedModels();
    return jobRuns;
  };
  const regions = new MemoryRegions(settings.inference.clientSharedMemory === 'on');
  const infer = {
    edge,
    admission,
    models: servedModels,
    run: (call: TensorCall, callback: TensorCallback) => (engine as Engine).tensorRuns.run(call, callback),
    memory: regions,
    gate,
    observe: (model: ServedModel, answer: TensorAnswer) =>
      (engine as Engine).cells(model).queueDelay.record((answer.startedMs - answer.queuedMs) / 1000),
    maxMessageBytes: settings.limits.maxInferMessageBytes,
  } satisfies ModelInferParts;
  const inferStreams = new InferStreams(infer);
  const grpc = new GrpcServer(settings.limits);
  grpc.addStreams([
    health.watch(),
    scoreStreams.method(),
    inferStreams.method(),
    watchJobMethod(edge, gate, readyJobs),
    putScores.method(),
    scoreBatchMethod({
      edge,
      admission,
      scorer: () => (engine as Engine).bulkScorer,
      maxMessageBytes: settings.limits.maxBatchMessageBytes,
      answered: (model, rows) => {
        const { answers } = (engine as Engine).cells(model);
        for (const [origin, found] of Object.entries(rows)) answers[origin as keyof typeof rows].add(found);
      },
    }),
    ...reflectionMethods([...SERVICES, 'grpc.health.v1.Health']),
  ]);
  grpc.addUnary([
    health.check(),
    ...modelMethods(edge, servedModels),
    ...loadModelMethods({ edge, gate, models: servedModels, control: modelControl }),
    promoteModelMethod({ edge, gate, models: servedModels, store, log }),
    ...jobMethods(edge, gate, readyJobs),
    ...scoreStoreMethods({
      edge,
      gate,
      models: servedModels,
      store,
      bulk: () => (engine as Engine).bulkScorer,
      cells: (model) => (engine as Engine).cells(model),
    }),
    scoreMethod(edge, score),
    modelInferMethod(infer),
    ...inferenceMethods({
      settings,
      log,
      edge,
      gate,
      regions,
      models: servedModels,
      control: () => control,
      serving: () => state === 'SERVING',
      workers: () => engine?.readyWorkers() ?? 0,
    }),
    ...tensorflowMethods({
      edge,
      admission,
      maxMessageBytes: settings.limits.maxInferMessageBytes,
      models: servedModels,
      run: (call, callback) => (engine as Engine).tensorRuns.run(call, callback),
      ran: (model, { queuedMs, startedMs }) =>
        (engine as Engine).cells(model).queueDelay.record((startedMs - queuedMs) / 1000),
      scored: (model, rows) => (engine as Engine).cells(model).answers.real_time.add(rows),
    }),
  ]);

  const setServing = (serving: boolean) => {
    if (state === 'DRAINING') return;
    state = serving ? 'SERVING' : 'NOT_SERVING';
    modelHealth.setServing(serving);
  };
  let refreshes: RefreshWatch | undefined;
  const problems = (): string[] => [
    ...(refreshes?.problems() ?? []),
    ...[...(featureStores?.problems() ?? [])].map(([name, problem]) => `feature store ${name}: ${problem}`),
    ...(control?.problems() ?? []),
    ...[repository.watch?.problem() ?? []].flat(),
    ...(store?.problem() === undefined ? [] : [`score store: ${store.problem()}`]),
  ];
  let http: HttpServer | undefined;
  const stop = async () => {
    grpc.destroy();
    await http?.close();
    regions.unregister('');
    await featureStores?.close();
    await store?.close();
    stopObserving();
    await tracing.shutdown();
  };
  try {
    const port = await grpc.listen(settings.server.host, settings.server.port, settings.tls);
    const address = hostAndPort(settings.server.host, port);
    const httpHost = settings.server.httpHost ?? settings.server.host;
    if (settings.server.httpPort !== 'off') {
      const status = new StatusPage(metrics);
      http = await startHttpServer(
        {
          host: httpHost,
          port: settings.server.httpPort,
          tls: httpTls(settings.tls),
          log,
        },
        {
          metricsText: prometheusText(new RegistryProducer(registry, serverResource(VERSION)), (error) =>
            log.warn({ err: error }, 'a metric could not be read'),
          ),
          ready: () => ({ ready: state === 'SERVING', reason: state }),
          problems,
          status: () => ({ ...status.snapshot(state, address, admission, engine), problems: problems() }),
        },
      );
    }
    featureStores = await FeatureStores.open({
      ...features,
      // Each model brings what it wants when it is loaded.
      specs: [],
      needed: false,
      reloadMs: 1000 * settings.features.reloadSeconds,
      log,
      observer: featureObserver(metrics),
    });
    engine = await startEngine(
      settings,
      repository.specs,
      { live: repository.live, metrics, log, store, featureStores },
      {
        workersChanged: (ready) => setServing(ready > 0),
        modelsChanged: () => modelHealth.changed(),
      },
    );
    control = controlRepository(settings, repository, engine, log);
    modelHealth.follow(engine.models);
    admission.open();
    setServing(engine.readyWorkers() > 0);
    refreshes = new RefreshWatch(jobs, jobRuns, metrics, log);
    return {
      port,
      address,
      httpPort: http?.port,
      httpAddress: http === undefined ? undefined : hostAndPort(httpHost, http.port),
      engine,
      drain: once(async () => {
        state = 'DRAINING';
        modelHealth.setServing(false);
        repository.watch?.end();
        const loadsEnded = control?.close();
        await new Promise((resolve) => setTimeout(resolve, settings.drain.delayMs));
        health.close();
        scoreStreams.drain();
        inferStreams.drain();
        refreshes?.end();
        const jobsEnded = jobRuns.drain();
        const putsEnded = putScores.drain();
        const idle = async () => {
          await Promise.all([admission.empty(), putsEnded]);
        };
        const answered = await grpc.close(idle, settings.drain.timeoutMs, () => {
          admission.drain();
          (engine as Engine).scheduler.giveUp(
            () => new ScorewireError('unavailable', 'DRAINING', 'the server shut down before this row was answered'),
          );
        });
        admission.drain();
        await jobsEnded;
        await (engine as Engine).close();
        await loadsEnded;
        await stop();
        return answered;
      }),
    };
  } catch (error) {
    await engine?.close();
    await stop();
    throw error;
  }
}

function once<T>(action: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= action();
    return result;
  };
}

function httpTls({ cert, key, clientCa }: Settings['tls']) {
  if (cert === undefined || key === undefined) return undefined;
  const pem = (path: string) => readFileSync(path, 'utf8');
  return { cert: pem(cert), key: pem(key), clientCa: clientCa === undefined ? undefined : pem(clientCa) };
}
