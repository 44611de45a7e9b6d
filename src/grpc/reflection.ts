// grpc.reflection v1 and v1alpha: clients that have no files of ours ask here for what they may call.
import { status as Status } from '@grpc/grpc-js';
import {
  ServerReflectionService as ReflectionV1,
  type ServerReflectionRequest,
  ServerReflectionResponse,
} from '../gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionService as ReflectionV1Alpha } from '../gen/grpc/reflection/v1alpha/reflection.ts';
import { type ProtoFile, protoFiles } from './descriptors.ts';
import type { StreamCall, StreamHandler, StreamMethod } from './stream-call.ts';
import { Malformed, tolerant } from './unary.ts';

/** The part of an answer that depends on the question. */
export type ReflectionAnswer = NonNullable<ServerReflectionResponse['messageResponse']>;

const REFLECTION_SERVICES = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'];

/** Lists `services` and reflection itself; answers for all of proto/. */
export function reflectionMethods(services: readonly string[]): StreamMethod[] {
  const reflection = new Reflection(protoFiles, [...services, ...REFLECTION_SERVICES]);
  // The versions differ in nothing but their package.
  return [ReflectionV1.serverReflectionInfo, ReflectionV1Alpha.serverReflectionInfo].map((method) => {
    const decode = tolerant(method);
    return { path: method.path, open: (call) => serve(call, decode, reflection) };
  });
}

/** What is known of `files`, ready to be asked for. */
export class Reflection {
  readonly #services: ReflectionAnswer;
  readonly #byName = new Map<string, ReflectionAnswer>();
  readonly #bySymbol = new Map<string, ReflectionAnswer>();
  readonly #messages = new Set<string>();

  constructor(files: readonly ProtoFile[], services: readonly string[]) {
    const sorted = [...new Set(services)].sort();
    this.#services = { $case: 'listServicesResponse', value: { service: sorted.map((name) => ({ name })) } };
    const filesByName = new Map(files.map((file) => [file.name, file]));
    for (const file of files) {
      const fileDescriptorProto = withImports(file, filesByName).map(({ bytes }) => bytes);
      const answer: ReflectionAnswer = { $case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
      this.#byName.set(file.name, answer);
      for (const symbol of file.symbols) this.#bySymbol.set(symbol, answer);
      for (const { name } of file.messages) this.#messages.add(name);
    }
  }

  answer(question: ServerReflectionRequest['messageRequest']): ReflectionAnswer {
    switch (question?.$case) {
      case 'listServices':
        return this.#services;
      case 'fileByFilename':
        return this.#byName.get(question.value) ?? failure(Status.NOT_FOUND, 'no such file');
      case 'fileContainingSymbol':
        return this.#bySymbol.get(question.value) ?? failure(Status.NOT_FOUND, 'no such symbol');
      case 'fileContainingExtension':
        // proto3 has them for options only, and proto/ has no options of its own.
        return failure(Status.NOT_FOUND, 'no such extension');
      case 'allExtensionNumbersOfType':
        return this.#messages.has(question.value)
          ? {
              $case: 'allExtensionNumbersResponse',
              value: { baseTypeName: question.value, extensionNumber: [] },
            }
          : failure(Status.NOT_FOUND, 'no such message');
      default:
        return failure(Status.INVALID_ARGUMENT, 'the request asks for nothing that is known here');
    }
  }
}

/** Answers one by one, and reads no further while the client doesn't take what it asked for. */
function serve(
  call: StreamCall,
  decode: (message: Buffer) => ServerReflectionRequest | Malformed,
  reflection: Reflection,
): StreamHandler {
  return {
    onMessage(message) {
      const request = decode(message);
      if (request instanceof Malformed) {
        const details = 'the request is not a well-formed ServerReflectionRequest';
        call.refuse({ code: Status.INVALID_ARGUMENT, details });
        return;
      }
      const messageResponse = reflection.answer(request.messageRequest);
      const response = { validHost: request.host, originalRequest: request, messageResponse };
      if (!call.send(ServerReflectionResponse.encode(response).finish())) call.pause();
    },
    onEnd: () => call.end(),
    onDrain: () => call.resume(),
    onAbort() {},
  };
}

/** The file first, then each that it imports, directly or not, once. */
function withImports(file: ProtoFile, filesByName: ReadonlyMap<string, ProtoFile>): ProtoFile[] {
  const found = new Set([file]);
  // A set's iteration gets to what is added on the way.
  for (const { imports } of found) {
    for (const name of imports) {
      const imported = filesByName.get(name);
      if (imported !== undefined) found.add(imported);
    }
  }
  return [...found];
}

function failure(errorCode: number, errorMessage: string): ReflectionAnswer {
  return { $case: 'errorResponse', value: { errorCode, errorMessage } };
}
