// The server as its callers see it: grpc-js clients from the generated code, promises, errors taken apart.

import {
  type CallOptions,
  ChannelCredentials,
  type ClientUnaryCall,
  Metadata,
  type ServiceError,
  status as Status,
} from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo } from '../../src/gen/google/rpc/error_details.ts';
import { Status as RpcStatus } from '../../src/gen/google/rpc/status.ts';
import {
  HealthClient,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/gen/grpc/health/v1/health.ts';
import { type ModelInfo, ModelServiceClient } from '../../src/gen/scorewire/v1/model.ts';
import {
  type ScoreRequest,
  type ScoreResponse,
  ScoringServiceClient,
  type Value,
} from '../../src/gen/scorewire/v1/scoring.ts';

/** undefined: the name is there, without a value. */
export type NamedValue = number | bigint | string | boolean | undefined;
export type RowInit = readonly number[] | Readonly<Record<string, NamedValue>>;
export type ScoreOptions = Partial<Omit<ScoreRequest, 'model' | 'row'>> & {
  /** Milliseconds from now; absent: none. */
  deadlineMs?: number;
  signal?: AbortSignal;
};

export type ServingStatusName = keyof typeof ServingStatus;

export class TestClient {
  readonly scoring: ScoringServiceClient;
  readonly models: ModelServiceClient;
  readonly health: HealthClient;

  constructor(address: string, credentials: ChannelCredentials = ChannelCredentials.createInsecure()) {
    // A connection of its own for each client, so that tests can count on it.
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    this.scoring = new ScoringServiceClient(address, credentials, options);
    this.models = new ModelServiceClient(address, credentials, options);
    this.health = new HealthClient(address, credentials, options);
  }

  score(model: string, row: RowInit | undefined, options: ScoreOptions = {}): Promise<ScoreResponse> {
    const { deadlineMs, signal, ...fields } = options;
    const request = scoreRequest(model, row, fields);
    return promised((done) => this.scoring.score(request, new Metadata(), until(deadlineMs), done), signal);
  }

  async listModels(): Promise<ModelInfo[]> {
    return (await promised<{ models: ModelInfo[] }>((done) => this.models.listModels({}, done))).models;
  }

  async getModel(model: string, version?: bigint): Promise<ModelInfo> {
    const response = await promised<{ model?: ModelInfo }>((done) => this.models.getModel({ model, version }, done));
    return response.model as ModelInfo;
  }

  async check(service = ''): Promise<ServingStatusName> {
    const { status } = await promised<{ status: number }>((done) => this.health.check({ service }, done));
    return statusName(status);
  }

  /** Statuses of `service` as they come, until the server ends the stream. */
  async *watch(service = ''): AsyncGenerator<ServingStatusName> {
    const stream = this.health.watch({ service });
    try {
      for await (const { status } of stream) yield statusName((status as number) ?? 0);
    } finally {
      stream.cancel();
    }
  }

  close(): void {
    this.scoring.close();
    this.models.close();
    this.health.close();
  }
}

function statusName(status: number): ServingStatusName {
  return Object.entries(ServingStatus).find(([, value]) => value === status)?.[0] as ServingStatusName;
}

export function scoreRequest(
  model: string,
  row: RowInit | undefined,
  fields: Partial<Omit<ScoreRequest, 'model' | 'row'>> = {},
): ScoreRequest {
  return { model, row: row === undefined ? undefined : toRow(row), policy: 0, outputNames: [], ...fields };
}

function toRow(row: RowInit): ScoreRequest['row'] {
  if (Array.isArray(row)) return { form: { $case: 'dense', value: { values: row } } };
  const values = new Map(Object.entries(row).map(([name, value]) => [name, toValue(value as NamedValue)]));
  return { form: { $case: 'named', value: { values } } };
}

function toValue(value: NamedValue): Value {
  switch (typeof value) {
    case 'number':
      return { kind: { $case: 'number', value } };
    case 'bigint':
      return { kind: { $case: 'integer', value } };
    case 'string':
      return { kind: { $case: 'text', value } };
    case 'boolean':
      return { kind: { $case: 'flag', value } };
    default:
      return {};
  }
}

function until(deadlineMs: number | undefined): CallOptions {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}

/** A unary call as a promise; `signal` cancels it. */
export function promised<T>(
  call: (done: (error: ServiceError | null, response: T) => void) => ClientUnaryCall,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const running = call((error, response) => (error === null ? resolve(response) : reject(error)));
    signal?.addEventListener('abort', () => running.cancel());
  });
}

/** An error as a client can read it. */
export type Failure = {
  code: string;
  message: string;
  /** '' where there are no details. */
  reason: string;
  domain: string;
  metadata: Record<string, string>;
  violations: { field: string; description: string }[];
  /** From RetryInfo; undefined where there is none. */
  retryMs: number | undefined;
  /** The trailer that gRPC's own retry policies obey. */
  pushbackMs: number | undefined;
};

/** What the call failed with; fails itself where it didn't. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Error && 'code' in error && 'metadata' in error) return takeApart(error as ServiceError);
    throw error;
  }
  throw new Error('the call succeeded, and should have failed');
}

export function takeApart({ code, details, metadata }: ServiceError): Failure {
  const failure: Failure = {
    code: Status[code],
    message: details,
    reason: '',
    domain: '',
    metadata: {},
    violations: [],
    retryMs: undefined,
    pushbackMs: undefined,
  };
  const [pushback] = metadata.get('grpc-retry-pushback-ms');
  if (pushback !== undefined) failure.pushbackMs = Number(pushback);
  const [bytes] = metadata.get('grpc-status-details-bin');
  if (!Buffer.isBuffer(bytes)) return failure;
  const status = RpcStatus.decode(bytes);
  // The details say what the status says.
  if (status.code !== code) throw new Error(`the details have code ${status.code}, the call had ${code}`);
  if (status.message !== details) throw new Error(`the details say "${status.message}", the call "${details}"`);
  for (const { typeUrl, value } of status.details) {
    switch (typeUrl) {
      case 'type.googleapis.com/google.rpc.ErrorInfo': {
        const { reason, domain, metadata: pairs } = ErrorInfo.decode(value);
        Object.assign(failure, { reason, domain, metadata: Object.fromEntries(pairs) });
        break;
      }
      case 'type.googleapis.com/google.rpc.BadRequest':
        failure.violations = BadRequest.decode(value).fieldViolations.map(({ field, description }) => ({
          field,
          description,
        }));
        break;
      case 'type.googleapis.com/google.rpc.RetryInfo': {
        const { retryDelay = { seconds: 0n, nanos: 0 } } = RetryInfo.decode(value);
        failure.retryMs = Number(retryDelay.seconds) * 1000 + retryDelay.nanos / 1e6;
        break;
      }
      default:
        throw new Error(`unknown detail ${typeUrl}`);
    }
  }
  return failure;
}
