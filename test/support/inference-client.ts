// inference.GRPCInferenceService as its clients see it.
import { ChannelCredentials, Client, type MethodDefinition } from '@grpc/grpc-js';
import { GRPCInferenceServiceService as Service } from '../../src/gen/inference/inference.ts';
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

  close(): void {
    this.#client.close();
  }
}
