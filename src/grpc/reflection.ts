// grpc.reflection v1 and v1alpha, over the descriptors of proto/.

import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { descriptorSet } from '../gen/descriptors.ts';

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0];

/**
 * proto-loader's own descriptors lose the well-known types, so the library gets raw FileDescriptorProtos in the form
 * that proto-loader would give it.
 */
export function addReflection(server: Server, services: readonly string[]): void {
  const fileDescriptorProtos = splitSet(Buffer.from(descriptorSet, 'base64'));
  const type = { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos };
  new ReflectionService({ 'scorewire.all': type } as unknown as PackageDefinition, {
    services: [...services],
  }).addToServer(server);
}

/** The files of a FileDescriptorSet, each as its bytes. */
function splitSet(bytes: Uint8Array): Buffer[] {
  const reader = new BinaryReader(bytes);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType, field);
  }
  return files;
}
