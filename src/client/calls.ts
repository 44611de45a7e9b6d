// Calls on one channel: wire messages in and out, errors as ScoreError.
import { readFileSync } from 'node:fs';
import {
  ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type CallOptions as GrpcCallOptions,
  Metadata,
  type MethodDefinition,
} from '@grpc/grpc-js';
import type { Done } from './attempts.ts';
import { ScoreError } from './score-error.ts';
import type { ConnectOptions, Pem } from './types.ts';

type Method<Request, Response> = Pick<
  MethodDefinition<Request, Response>,
  'path' | 'requestSerialize' | 'responseDeserialize'
>;

export type ChannelSettings = Pick<ConnectOptions, 'tls' | 'ca' | 'cert' | 'key' | 'headers' | 'channelOptions'>;

const CHANNEL_OPTIONS: ChannelOptions = {
  // The client has retries of its own, which know the deadline of a score and what the server said.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // One answer may hold the tensors of many scores; the client asked for them.
  'grpc.max_receive_message_length': -1,
  // A peer that went away without a word is found out, though streams on it stay open all day.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // A server that was started anew is found again while calls can still wait for it.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 5_000,
};

export class Calls {
  readonly #client: Client;
  readonly #headers: Readonly<Record<string, string>>;

  /** `address` is HOST:PORT; connects with the first call. @throws Error for PEM files that can't be used */
  constructor(address: string, settings: ChannelSettings = {}) {
    this.#client = new Client(address, credentialsOf(settings), { ...CHANNEL_OPTIONS, ...settings.channelOptions });
    this.#headers = settings.headers ?? {};
  }

  /** One attempt of a unary call; returns what cancels it. */
  start<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    deadlineMs: number,
    done: Done<Response>,
  ): () => void {
    const { path, requestSerialize, responseDeserialize } = method;
    const call = this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#metadata(),
      until(deadlineMs),
      (error, response) => (error === null ? done(undefined, response) : done(ScoreError.ofStatus(error))),
    );
    return () => call.cancel();
  }

  /** A unary call, once. Rejects with a ScoreError. */
  unary<Request, Response>(method: Method<Request, Response>, request: Request, deadlineMs: number): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.start(method, request, deadlineMs, (error, response) =>
        error === undefined ? resolve(response as Response) : reject(error),
      );
    });
  }

  /** A call with many answers, whose errors are grpc-js's. */
  serverStream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): ClientReadableStream<Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    const call = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#metadata(),
      until(deadlineMs),
    );
    // Whoever reads hears of it; a call that is cancelled has nobody who does.
    call.on('error', () => {});
    return call;
  }

  /** A call with messages both ways and no deadline; its status says how it ended. */
  bidiStream<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#metadata());
    call.on('error', () => {});
    return call;
  }

  close(): void {
    this.#client.close();
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(this.#headers)) metadata.set(name, value);
    return metadata;
  }
}

function until(deadlineMs: number): GrpcCallOptions {
  return deadlineMs === Number.POSITIVE_INFINITY ? {} : { deadline: Date.now() + deadlineMs };
}

function credentialsOf({ tls, ca, cert, key }: ChannelSettings): ChannelCredentials {
  if (!tls && ca === undefined && cert === undefined) return ChannelCredentials.createInsecure();
  return ChannelCredentials.createSsl(pemOf(ca), pemOf(key), pemOf(cert));
}

function pemOf(pem: Pem | undefined): Buffer | null {
  if (pem === undefined) return null;
  return typeof pem === 'string' ? readFileSync(pem) : Buffer.from(pem);
}
