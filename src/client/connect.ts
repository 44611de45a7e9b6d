// A typed client for the native API, as promises.
import { readFileSync } from 'node:fs';
import { ChannelCredentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { BadRequest } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';
import { type ModelInfo, ModelServiceClient } from '../gen/scorewire/v1/model.ts';
import { type ScoreRequest, type ScoreResponse, ScoringServiceClient } from '../gen/scorewire/v1/scoring.ts';

export type ConnectOptions = {
  /** PEM files; any of them switches TLS on. */
  ca?: string;
  cert?: string;
  key?: string;
  tls?: boolean;
};

export type Client = {
  /** Rejects with grpc-js's ServiceError. `deadlineMs` counts from now. */
  score(request: ScoreRequest, deadlineMs: number): Promise<ScoreResponse>;
  listModels(deadlineMs: number): Promise<ModelInfo[]>;
  getModel(model: string, version: bigint | undefined, deadlineMs: number): Promise<ModelInfo>;
  close(): void;
};

/** `address` is HOST:PORT. Connects with the first call. */
export function connect(address: string, options: ConnectOptions = {}): Client {
  const credentials = credentialsOf(options);
  const scoring = new ScoringServiceClient(address, credentials);
  const models = new ModelServiceClient(address, credentials);
  const until = (deadlineMs: number) => ({ deadline: Date.now() + deadlineMs });
  return {
    score: (request, deadlineMs) =>
      promised((done) => void scoring.score(request, new Metadata(), until(deadlineMs), done)),
    listModels: async (deadlineMs) =>
      (
        await promised<{ models: ModelInfo[] }>(
          (done) => void models.listModels({}, new Metadata(), until(deadlineMs), done),
        )
      ).models,
    getModel: async (model, version, deadlineMs) => {
      const response = await promised<{ model?: ModelInfo }>(
        (done) => void models.getModel({ model, version }, new Metadata(), until(deadlineMs), done),
      );
      return response.model as ModelInfo;
    },
    close: () => {
      scoring.close();
      models.close();
    },
  };
}

function credentialsOf({ ca, cert, key, tls }: ConnectOptions): ChannelCredentials {
  if (!tls && ca === undefined && cert === undefined) return ChannelCredentials.createInsecure();
  const pem = (path: string | undefined) => (path === undefined ? null : readFileSync(path));
  return ChannelCredentials.createSsl(pem(ca), pem(key), pem(cert));
}

function promised<T>(call: (done: (error: ServiceError | null, response: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

/** The wrong fields that an error names, `field: description` each; empty where it names none. */
export function violationsOf(error: ServiceError): string[] {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (!Buffer.isBuffer(bytes)) return [];
  return Status.decode(bytes)
    .details.filter((detail) => detail.typeUrl.endsWith('/google.rpc.BadRequest'))
    .flatMap((detail) => BadRequest.decode(detail.value).fieldViolations)
    .map(({ field, description }) => `${field}: ${description}`);
}
