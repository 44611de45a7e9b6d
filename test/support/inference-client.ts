// inference.GRPCInferenceService as its clients see it.
import {
  ChannelCredentials,
  Client,
  type ClientDuplexStream,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status as Status,
} from '@grpc/grpc-js';
import {
  type ModelInferRequest,
  type ModelStreamInferResponse,
  GRPCInferenceServiceService as Service,
} from '../../src/gen/inference/inference.ts';
import { promised } from './test-client.ts';

type Name = keyof typeof Service;
type RequestOf<Method extends Name> = Parameters<(typeof Service)[Method]['requestSerialize']>[0];
type ResponseOf<Method extends Name> = ReturnType<(typeof Service)[Method]['responseDeserialize']>;

export class InferenceClient {
  readonly #client: Client;

  constructor(address: string) {
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    this.#client = new Client(address, ChannelCredentials.createInsecure(), options);
  }

  /** A method of one request and one answer. */
  call<Method extends Name>(name: Method, request: RequestOf<Method>): Promise<ResponseOf<Method>> {
    const { path, requestSerialize, responseDeserialize } = Service[name] as unknown as MethodDefinition<
      RequestOf<Method>,
      ResponseOf<Method>
    >;
    return promised((done) =>
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
        done(error, response as ResponseOf<Method>),
      ),
    );
  }

  stream(headers: Readonly<Record<string, string>> = {}): InferStream {
    const { path, requestSerialize, responseDeserialize } = Service.modelStreamInfer;
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return new InferStream(
      this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, {}),
    );
  }

  close(): void {
    this.#client.close();
  }
}

/** One ModelStreamInfer. */
export class InferStream {
  readonly call: ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>;
  /** As they came. */
  readonly responses: ModelStreamInferResponse[] = [];
  /** The status by name, and its message, once the call is over. */
  readonly ended: Promise<{ code: string; message: string }>;

  constructor(call: ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>) {
    this.call = call;
    call.on('data', (response) => this.responses.push(response));
    this.ended = new Promise((resolve) => {
      call.on('error', ({ code, details }: ServiceError) => resolve({ code: Status[code], message: details }));
      call.on('end', () => setImmediate(() => resolve({ code: 'OK', message: '' })));
    });
  }

  send(...requests: readonly ModelInferRequest[]): this {
    for (const request of requests) this.call.write(request);
    return this;
  }

  /** Sends no more; resolves with what came, once the call is over. */
  async end(): Promise<ModelStreamInferResponse[]> {
    this.call.end();
    await this.ended;
    return this.responses;
  }
}
