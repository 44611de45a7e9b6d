// The floor of a grpc-js server: it answers every Score with the same bytes and decodes nothing. What it costs is what
// grpc-js and Node's HTTP/2 cost; what our server costs above it is ours.
//
// node bench/servers/echo.ts PORT [ANSWER_BASE64]

import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
  HealthService,
} from '../../src/gen/grpc/health/v1/health.ts';
import { ScoringServiceService } from '../../src/gen/scorewire/v1/scoring.ts';
import { typicalAnswer } from '../harness/requests.ts';

const port = Number(process.argv[2]);
const answer = process.argv[3] === undefined ? typicalAnswer() : Buffer.from(process.argv[3], 'base64');
const identity = (bytes: Buffer): Buffer => bytes;

const server = new Server();
server.addService(
  {
    score: {
      ...ScoringServiceService.score,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    },
  },
  { score: (_call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => callback(null, answer) },
);
server.addService(
  { check: HealthService.check },
  {
    check: (
      _call: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
      callback: sendUnaryData<HealthCheckResponse>,
    ) => callback(null, { status: HealthCheckResponse_ServingStatus.SERVING }),
  },
);
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error === null) return;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
process.once('SIGTERM', () => {
  server.forceShutdown();
  process.exit(0);
});
