// grpc.reflection v1 and v1alpha, spoken byte by byte: what grpcurl and its like need to call the server without files.

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ChannelCredentials, Client } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { modelFolder } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

// Fields of ServerReflectionRequest and ServerReflectionResponse; the same in both versions.
const FILE_BY_NAME = 3;
const FILE_CONTAINING_SYMBOL = 4;
const LIST_SERVICES = 7;
const FILES = 4;
const SERVICES = 6;
const ERROR = 7;

type Answer = { files: Uint8Array[]; services: string[]; errorCode: number | undefined };

let server: TestServer;
let client: Client;

beforeAll(async () => {
  server = await TestServer.start(await modelFolder({ first: linear([1], 0) }));
  client = new Client(server.address, ChannelCredentials.createInsecure());
});

afterAll(async () => {
  client.close();
  await server.stop();
});

describe.each(['v1', 'v1alpha'])('grpc.reflection.%s', (version) => {
  const ask = (field: number, text: string) => reflect(version, field, text);

  test('lists the services', async () => {
    const { services } = await ask(LIST_SERVICES, '*');
    expect(services).toEqual(
      expect.arrayContaining([
        'grpc.health.v1.Health',
        'inference.GRPCInferenceService',
        'scorewire.v1.ModelService',
        'scorewire.v1.ScoringService',
      ]),
    );
  });

  test.each([
    ['scorewire.v1.ScoringService', 'scorewire/v1/scoring.proto'],
    ['scorewire.v1.ModelService', 'scorewire/v1/model.proto'],
    ['grpc.health.v1.Health', 'grpc/health/v1/health.proto'],
    ['scorewire.v1.ScoringService.Score', 'scorewire/v1/scoring.proto'],
    ['scorewire.v1.ScoreRequest', 'scorewire/v1/scoring.proto'],
    ['google.rpc.BadRequest', 'google/rpc/error_details.proto'],
    ['inference.GRPCInferenceService', 'inference/inference.proto'],
    ['inference.GRPCInferenceService.ModelInfer', 'inference/inference.proto'],
    ['inference.ModelInferRequest.InferInputTensor', 'inference/inference.proto'],
    ['inference.ModelConfig', 'inference/model_config.proto'],
  ])('%s: its file, with all that it imports', async (symbol, file) => {
    const { files } = await ask(FILE_CONTAINING_SYMBOL, symbol);
    const byName = new Map(files.map((bytes) => [nameOf(bytes), bytes]));
    expect([...byName.keys()]).toContain(file);
    const missing: string[] = [];
    for (const bytes of byName.values()) {
      for (const imported of importsOf(bytes)) if (!byName.has(imported)) missing.push(imported);
    }
    for (const name of missing) {
      const found = await ask(FILE_BY_NAME, name);
      expect(found.files.map(nameOf)).toContain(name);
    }
  });

  test('what is not there', async () => {
    expect((await ask(FILE_CONTAINING_SYMBOL, 'scorewire.v1.Nothing')).errorCode).toBe(5);
    expect((await ask(FILE_BY_NAME, 'nothing.proto')).errorCode).toBe(5);
  });
});

/** One question on a stream of its own. */
function reflect(version: string, field: number, text: string): Promise<Answer> {
  const request = new BinaryWriter().tag(field, WireType.LengthDelimited).string(text).finish();
  const stream = client.makeBidiStreamRequest(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer) => readAnswer(bytes),
  );
  return new Promise((resolve, reject) => {
    stream.once('data', resolve);
    stream.once('error', reject);
    stream.write(request);
    stream.end();
  });
}

function readAnswer(bytes: Uint8Array): Answer {
  const answer: Answer = { files: [], services: [], errorCode: undefined };
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === FILES) answer.files = fieldsOf(value).map(([, file]) => file);
    if (field === SERVICES) answer.services = fieldsOf(value).map(([, service]) => text(fieldsOf(service)[0]?.[1]));
    if (field === ERROR) answer.errorCode = new BinaryReader(value.subarray(1)).int32();
  }
  return answer;
}

/** The length-delimited fields of a message, in order. */
function fieldsOf(bytes: Uint8Array): [field: number, value: Uint8Array][] {
  const reader = new BinaryReader(bytes);
  const fields: [number, Uint8Array][] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) fields.push([field, reader.bytes()]);
    else reader.skip(type, field);
  }
  return fields;
}

/** FileDescriptorProto: name is field 1, dependency field 3. */
function nameOf(file: Uint8Array): string {
  return text(fieldsOf(file).find(([field]) => field === 1)?.[1]);
}

function importsOf(file: Uint8Array): string[] {
  return fieldsOf(file).flatMap(([field, value]) => (field === 3 ? [text(value)] : []));
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('utf8');
}
