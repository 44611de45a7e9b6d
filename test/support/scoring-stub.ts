// A server of the calls of many rows, made of grpc-js alone, that answers as a test tells it to.

import {
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { afterEach } from 'vitest';
import { generateLoad } from '../../src/bench/generator.ts';
import { framed, MessageReader } from '../../src/bench/grpc-messages.ts';
import type { FlowPlan, LoadPlan } from '../../src/bench/plan.ts';
import type { FlowReport } from '../../src/bench/report.ts';
import {
  FeatureInfo,
  type GetModelRequest,
  type GetModelResponse,
  ModelInfo,
  ModelServiceService,
} from '../../src/gen/scorewire/v1/model.ts';
import {
  type RowError,
  ScoreBatchRequest,
  type ScoreBatchResponse,
  ScoreRequest,
  type ScoreResponse,
  type ScoreStreamRequest,
  type ScoreStreamResponse,
  ScoringServiceService,
  type StreamResult,
} from '../../src/gen/scorewire/v1/scoring.ts';
import { DataType } from '../../src/gen/scorewire/v1/tensor.ts';

/** As GetModel has it: two features. */
const MODEL: ModelInfo = {
  ...ModelInfo.decode(new Uint8Array()),
  name: 'm',
  version: 1n,
  features: ['a', 'b'].map((name) => ({
    ...FeatureInfo.decode(new Uint8Array()),
    name,
    dataType: DataType.DATA_TYPE_FLOAT32,
  })),
};

export type ScoreStream = ServerDuplexStream<ScoreStreamRequest, ScoreStreamResponse>;
export type ScoreBatch = ServerWritableStream<ScoreBatchRequest, ScoreBatchResponse>;

const running: Server[] = [];
const framing: { server: Http2Server; sessions: Set<ServerHttp2Session> }[] = [];

afterEach(() => {
  for (const server of running.splice(0)) server.forceShutdown();
  for (const { server, sessions } of framing.splice(0)) {
    for (const session of sessions) session.destroy();
    server.close();
  }
});

/** Starts the server and resolves to its port. Score answers with `row.dense.values[0]`, unless it is told otherwise. */
export async function serveScores(
  calls: {
    score?: handleUnaryCall<ScoreRequest, ScoreResponse>;
    stream?: (call: ScoreStream) => void;
    batch?: (call: ScoreBatch) => void;
  },
  options: ServerOptions = {},
): Promise<number> {
  const server = new Server(options);
  running.push(server);
  const score = calls.score ?? ((call, done) => done(null, responseTo(call.request)));
  const scoreBatch: handleServerStreamingCall<ScoreBatchRequest, ScoreBatchResponse> = (call) => calls.batch?.(call);
  const scoreStream = (call: ScoreStream): void => {
    call.on('error', () => {});
    calls.stream?.(call);
  };
  server.addService(ScoringServiceService, { score, scoreBatch, scoreStream });
  const getModel: handleUnaryCall<GetModelRequest, GetModelResponse> = (_call, done) => done(null, { model: MODEL });
  server.addService({ getModel: ModelServiceService.getModel }, { getModel });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

/**
 * A server with HTTP/2 settings of its own, which grpc-js has no option for: answers each message with those that `answer`
 * makes of it, and its end with OK. Resolves to its port.
 */
export async function serveFrames(
  settings: Settings,
  answer: (message: Buffer, stream: ServerHttp2Stream) => Uint8Array[],
): Promise<number> {
  const server = createServer({ settings });
  const sessions = new Set<ServerHttp2Session>();
  framing.push({ server, sessions });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const reader = new MessageReader((bytes, start, end) => {
      for (const message of answer(bytes.subarray(start, end), stream)) stream.write(framed(message));
    });
    stream.on('data', (piece: Buffer) => reader.read(piece, 0, piece.length));
    stream.on('end', () => stream.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Answers each message of items with one. */
export function echoItems(call: ScoreStream): void {
  call.on('data', ({ items }: ScoreStreamRequest) =>
    call.write({ results: items.map(({ id, request }) => answered(id, request)) }),
  );
  call.on('end', () => call.end());
}

/** Answers in chunks of 1,000 rows, and with a summary in which `lost` rows have failed. */
export function answerBatch(call: ScoreBatch, lost = 0): void {
  const { rows } = call.request;
  const count = rows?.$case === 'matrix' ? rows.value.values.length / rows.value.columns : 0;
  for (let at = 0; at < count; at += 1_000) call.write(chunk(at, Math.min(1_000, count - at)));
  call.write(summary(count, lost));
  call.end();
}

export function chunk(firstRow: number, rows: number, errors: RowError[] = []): ScoreBatchResponse {
  const scores = new Array<number>(rows).fill(0.5);
  const value = { firstRow: BigInt(firstRow), rows: [], scores, labels: [], segments: [], origins: [], errors };
  return { part: { $case: 'chunk', value } };
}

export function summary(rows: number, lost = 0): ScoreBatchResponse {
  const counts = { rows: BigInt(rows), scored: BigInt(rows - lost), failed: BigInt(lost) };
  const origins = { precomputed: 0n, realTime: counts.scored, stale: 0n, defaulted: 0n };
  return { part: { $case: 'summary', value: { model: 'm', version: 1n, ...counts, ...origins } } };
}

/** The first feature is the score. */
export function responseTo(request: ScoreRequest | undefined): ScoreResponse {
  const form = request?.row?.form;
  return {
    entityId: '',
    model: request?.model ?? '',
    version: 1n,
    score: form?.$case === 'dense' ? (form.value.values[0] ?? Number.NaN) : Number.NaN,
    label: undefined,
    labelName: undefined,
    segment: undefined,
    origin: 2,
    scoredAt: undefined,
    age: undefined,
    timing: undefined,
    outputs: new Map(),
  };
}

export function answered(id: bigint, request: ScoreRequest | undefined): StreamResult {
  return { id, outcome: { $case: 'response', value: responseTo(request) } };
}

export function failed(id: bigint, code: number, message: string): StreamResult {
  return { id, outcome: { $case: 'error', value: { row: 0n, code, reason: 'A_REASON', field: '', message } } };
}

/** With a time to come back. */
export function refused(id: bigint, code: number, retryAfterMs: number): StreamResult {
  const retryDelay = { seconds: BigInt(Math.floor(retryAfterMs / 1000)), nanos: (retryAfterMs % 1000) * 1e6 };
  const value = { row: 0n, code, reason: 'A_REASON', field: '', message: 'not now', retryDelay };
  return { id, outcome: { $case: 'error', value } };
}

/** An encoded request whose first feature, and so its score, is `score`; `width` features in all. */
export function scoreRequest(score: number, width = 3): Uint8Array {
  const values = [score, ...new Array<number>(width - 1).fill(0)];
  const row = { form: { $case: 'dense' as const, value: { values } } };
  return ScoreRequest.encode({ model: 'm', row, policy: 0, outputNames: [] }).finish();
}

export function batchRequest(rows: number, columns: number): Uint8Array {
  const matrix = { columns, values: new Array<number>(rows * columns).fill(0.5) };
  return ScoreBatchRequest.encode({
    model: 'm',
    entityIds: [],
    rows: { $case: 'matrix', value: matrix },
    policy: 0,
    shared: new Map(),
    chunkRows: 0,
    inOrder: false,
    topK: 0,
  }).finish();
}

/** Runs a flow of ScoreStream, or as `changes` say, and resolves to what it saw. */
export async function loadOf(
  port: number,
  changes: Partial<FlowPlan>,
  plan: Partial<LoadPlan> = {},
): Promise<FlowReport> {
  const flow: FlowPlan = {
    name: 'test',
    path: '/scorewire.v1.ScoringService/ScoreStream',
    rpc: { kind: 'stream', streams: 1, items: 1 },
    messages: [1, 2, 3].map((score) => scoreRequest(score)),
    connections: 1,
    shape: { kind: 'closed', inFlight: 8 },
    sampleEvery: 1,
    ...changes,
  };
  const report = await generateLoad({
    host: '127.0.0.1',
    port,
    warmUpSeconds: 0,
    seconds: 0.3,
    drainSeconds: 10,
    serverPids: [],
    ...plan,
    flows: [flow],
  });
  return report.flows[0] as FlowReport;
}
